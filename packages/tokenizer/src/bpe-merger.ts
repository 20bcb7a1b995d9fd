import type { IdBuffer } from './id-buffer.ts';
import type { Merges } from './pair-table.ts';

/** Up to this many symbols a plain scan for the best pair beats a heap. */
const shortWord = 24;
const none = 0x7fffffff;
// Heap keys are priority · 2²⁸ + position. Priorities are below 2²⁴ and positions below 3 · 2²⁶ (three bytes for each of at
// most 2²⁶ code units), so a key is below 2⁵² and exact; the smallest key is the best pair, leftmost first.
const positionSpan = 2 ** 28;

/**
 * Byte pair encoding of one word: of all neighbouring pairs that may merge, the one of lowest priority merges first, the
 * leftmost of equals before the others, until none is left (Sennrich et al., arXiv:1508.07909).
 *
 * `start`, `add` the symbols, `finish`. Short words are scanned, O(n²) with a tiny constant; long words take a heap over a
 * linked list, O(n log n).
 */
export class BpeMerger {
  readonly #merges: Merges;
  #symbols = new Int32Array(64);
  #count = 0;
  readonly #priorities = new Int32Array(shortWord);
  readonly #found = new Int32Array(shortWord);

  constructor(merges: Merges) {
    this.#merges = merges;
  }

  /** Begins a word, whatever became of the one before: a call that failed half-way must not leave symbols behind. */
  start(): void {
    this.#count = 0;
  }

  add(id: number): void {
    if (this.#count === this.#symbols.length) {
      const grown = new Int32Array(this.#count * 2);
      grown.set(this.#symbols);
      this.#symbols = grown;
    }
    this.#symbols[this.#count++] = id;
  }

  /** Appends the ids of the word to `out`. */
  finish(out: IdBuffer): void {
    if (this.#count <= shortWord) this.#finishShort(out);
    else this.#finishLong(out);
    // One huge word should not hold its memory for good.
    if (this.#symbols.length > 1 << 16) this.#symbols = new Int32Array(64);
  }

  #finishShort(out: IdBuffer): void {
    const merges = this.#merges;
    const { priorities: priorityOf, results } = merges;
    const symbols = this.#symbols;
    const priorities = this.#priorities;
    const found = this.#found;
    let count = this.#count;
    for (let i = 0; i + 1 < count; i++) {
      const merge = merges.find(symbols[i]!, symbols[i + 1]!);
      found[i] = merge;
      priorities[i] = merge < 0 ? none : priorityOf[merge]!;
    }
    while (count > 1) {
      let best = none;
      let at = 0;
      for (let i = 0; i + 1 < count; i++) {
        if (priorities[i]! < best) {
          best = priorities[i]!;
          at = i;
        }
      }
      if (best === none) break;
      symbols[at] = results[found[at]!]!;
      count--;
      for (let i = at + 1; i < count; i++) {
        symbols[i] = symbols[i + 1]!;
        priorities[i] = priorities[i + 1]!;
        found[i] = found[i + 1]!;
      }
      if (at + 1 < count) {
        const merge = merges.find(symbols[at]!, symbols[at + 1]!);
        found[at] = merge;
        priorities[at] = merge < 0 ? none : priorityOf[merge]!;
      }
      if (at > 0) {
        const merge = merges.find(symbols[at - 1]!, symbols[at]!);
        found[at - 1] = merge;
        priorities[at - 1] = merge < 0 ? none : priorityOf[merge]!;
      }
    }
    out.reserve(count);
    for (let i = 0; i < count; i++) out.data[out.length++] = symbols[i]!;
  }

  #finishLong(out: IdBuffer): void {
    const merges = this.#merges;
    const { priorities: priorityOf, results } = merges;
    const symbols = this.#symbols;
    const count = this.#count;
    const next = new Int32Array(count);
    const previous = new Int32Array(count);
    const found = new Int32Array(count); // merge of the pair that begins here, −1 for none or a symbol that is gone
    let heap = new Float64Array(count);
    let heapSize = 0;
    for (let i = 0; i < count; i++) {
      next[i] = i + 1 < count ? i + 1 : -1;
      previous[i] = i - 1;
      const merge = i + 1 < count ? merges.find(symbols[i]!, symbols[i + 1]!) : -1;
      found[i] = merge;
      if (merge >= 0) heap[heapSize++] = priorityOf[merge]! * positionSpan + i;
    }
    for (let i = (heapSize >> 1) - 1; i >= 0; i--) siftDown(heap, heapSize, i, heap[i]!);

    while (heapSize > 0) {
      const key = heap[0]!;
      heapSize--;
      if (heapSize > 0) siftDown(heap, heapSize, 0, heap[heapSize]!);
      const priority = Math.floor(key / positionSpan);
      const at = key - priority * positionSpan;
      const merge = found[at]!;
      if (merge < 0 || priorityOf[merge] !== priority) continue; // an older entry; the pair here has changed since
      const removed = next[at]!;
      const after = next[removed]!;
      symbols[at] = results[merge]!;
      found[removed] = -1;
      next[at] = after;
      if (after >= 0) previous[after] = at;
      const before = previous[at]!;
      if (heapSize + 2 > heap.length) {
        const grown = new Float64Array(heap.length * 2);
        grown.set(heap);
        heap = grown;
      }
      const right = after >= 0 ? merges.find(symbols[at]!, symbols[after]!) : -1;
      found[at] = right;
      if (right >= 0) siftUp(heap, heapSize++, priorityOf[right]! * positionSpan + at);
      if (before >= 0) {
        const left = merges.find(symbols[before]!, symbols[at]!);
        found[before] = left;
        if (left >= 0) siftUp(heap, heapSize++, priorityOf[left]! * positionSpan + before);
      }
    }
    for (let i = 0; i >= 0; i = next[i]!) out.push(symbols[i]!);
  }
}

function siftDown(heap: Float64Array, size: number, start: number, key: number): void {
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= key) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = key;
}

function siftUp(heap: Float64Array, start: number, key: number): void {
  let at = start;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= key) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = key;
}
