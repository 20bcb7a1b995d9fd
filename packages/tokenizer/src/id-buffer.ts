/** A list of token ids that grows. */
export class IdBuffer {
  data: Int32Array<ArrayBuffer> = new Int32Array(64);
  length = 0;

  push(id: number): void {
    if (this.length === this.data.length) this.reserve(1);
    this.data[this.length++] = id;
  }

  /** Makes room for `more` further ids. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.data.length) return;
    const grown = new Int32Array(Math.max(needed, this.data.length * 2));
    grown.set(this.data);
    this.data = grown;
  }

  toArray(): Int32Array<ArrayBuffer> {
    return this.data.slice(0, this.length);
  }
}
