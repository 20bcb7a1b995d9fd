import { type ErrorLocation, Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import type { GgufErrorCode } from './error-codes.ts';

const firstPieceInBytes = 64 * 1024;
const largestPieceInBytes = 1024 * 1024;

/**
 * Reads the header of a GGUF file from front to back in pieces: 64 kB, then twice as much each time, up to 1 MB.
 *
 * `need` is the only place that reads; it checks against the real size of the file, and against the limit for headers,
 * before it does. The other methods decode what is there, without waiting: a vocabulary of 32,000 strings is 64,000 calls,
 * and a promise for each would take longer than the reading.
 *
 * @internal
 */
export class HeaderCursor {
  readonly functionName: string;
  readonly source: ByteSource;
  private readonly limitInBytes: number;
  // `ignoreBOM` keeps U+FEFF: it is a token of its own in real vocabularies, and dropped it would equal the empty one.
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private bytes = new Uint8Array(0);
  private view = new DataView(this.bytes.buffer);
  /** Position in `bytes` of the next byte to decode. */
  private at = 0;
  /** Offset in the file of `bytes[0]`. */
  private start = 0;
  private pieceInBytes = firstPieceInBytes;

  constructor(functionName: string, source: ByteSource, limitInBytes: number) {
    this.functionName = functionName;
    this.source = source;
    this.limitInBytes = limitInBytes;
  }

  /** Offset in the file of the next byte. */
  get offset(): number {
    return this.start + this.at;
  }

  /** Bytes from here to the end of the file. */
  get remaining(): number {
    return this.source.sizeInBytes - this.offset;
  }

  /** True when that many bytes can be decoded without reading. */
  has(sizeInBytes: number): boolean {
    return this.bytes.length - this.at >= sizeInBytes;
  }

  /**
   * Makes that many bytes ready to be decoded.
   *
   * @throws Phi3Error `GG_TRUNCATED` past the end of the file, `GG_LIMIT` past the limit for headers
   */
  async need(sizeInBytes: number, where: ErrorLocation = {}): Promise<void> {
    if (this.has(sizeInBytes)) return;
    if (sizeInBytes > this.remaining) {
      throw this.error('GG_TRUNCATED', {
        expected: `${sizeInBytes} more bytes of header`,
        got: this.remaining,
        where,
        hint: 'The file is cut off; download it again',
      });
    }
    this.expectWithinLimit(sizeInBytes, where);
    const kept = this.bytes.subarray(this.at);
    const wanted = Math.max(sizeInBytes - kept.length, this.pieceInBytes);
    // Nothing past the limit is ever buffered, so what is ready is within it.
    const end = Math.min(this.source.sizeInBytes, this.limitInBytes);
    const length = Math.min(wanted, end - this.offset - kept.length);
    const bytes = new Uint8Array(kept.length + length);
    bytes.set(kept);
    await this.source.read(this.offset + kept.length, length, bytes.subarray(kept.length));
    this.start = this.offset;
    this.at = 0;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.pieceInBytes = Math.min(2 * this.pieceInBytes, largestPieceInBytes);
  }

  private expectWithinLimit(sizeInBytes: number, where: ErrorLocation = {}): void {
    if (this.offset + sizeInBytes > this.limitInBytes) {
      throw this.error('GG_LIMIT', {
        expected: `a header of at most ${this.limitInBytes} bytes`,
        got: this.offset + sizeInBytes,
        where,
        hint: 'Raise maxHeaderSizeInBytes if you trust the file',
      });
    }
  }

  // Each of these needs its bytes to be ready.

  u8(): number {
    return this.bytes[this.at++]!;
  }

  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  u64(): bigint {
    this.at += 8;
    return this.view.getBigUint64(this.at - 8, true);
  }

  /** The view over what is ready, and the position in it of the next byte, which then moves on by `sizeInBytes`. */
  take(sizeInBytes: number): { view: DataView; at: number } {
    this.at += sizeInBytes;
    return { view: this.view, at: this.at - sizeInBytes };
  }

  /** The length of the string that begins here when all of it is ready, otherwise -1. */
  peekStringLength(): number {
    if (!this.has(8) || this.view.getUint32(this.at + 4, true) !== 0) return -1;
    const length = this.view.getUint32(this.at, true);
    return this.has(8 + length) ? length : -1;
  }

  /** Copies bytes that are ready. */
  copy(into: Uint8Array): void {
    into.set(this.bytes.subarray(this.at, this.at + into.length));
    this.at += into.length;
  }

  /** @throws Phi3Error `GG_UTF8` */
  text(sizeInBytes: number, where: ErrorLocation): string {
    const bytes = this.bytes.subarray(this.at, this.at + sizeInBytes);
    this.at += sizeInBytes;
    try {
      return this.decoder.decode(bytes);
    } catch (cause) {
      this.at -= sizeInBytes;
      throw this.error('GG_UTF8', { expected: 'text in UTF-8', got: bytes, where, cause });
    }
  }

  /**
   * Reads a count of things that take at least `leastSizeInBytes` each, and checks that the rest of the file could hold
   * them. It is compared as bigint first, because as a number 2^63 would lose its last bits.
   *
   * @throws Phi3Error `GG_COUNT`
   */
  async count(what: string, leastSizeInBytes: number, where: ErrorLocation = {}): Promise<number> {
    await this.need(8, where);
    const declared = this.u64();
    const most = BigInt(Math.floor(this.remaining / leastSizeInBytes));
    if (declared > most) {
      this.at -= 8;
      throw this.error('GG_COUNT', {
        expected: `at most ${most} ${what}, which the rest of the file could hold`,
        got: declared,
        where,
        hint: 'The file is damaged or cut off',
      });
    }
    return Number(declared);
  }

  /** A length, then as many bytes of UTF-8. */
  async string(where: ErrorLocation = {}): Promise<string> {
    const length = await this.count('bytes of text', 1, where);
    if (!this.has(length)) await this.need(length, where);
    return this.text(length, where);
  }

  error(
    code: GgufErrorCode,
    details: { expected?: string; got?: unknown; where?: ErrorLocation; hint?: string; cause?: unknown },
  ): Phi3Error<GgufErrorCode> {
    return new Phi3Error({
      ...details,
      code,
      function: this.functionName,
      where: { file: this.source.name, offset: this.offset, ...details.where },
    });
  }
}
