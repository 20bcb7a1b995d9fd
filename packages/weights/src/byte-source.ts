import { Phi3Error, ShapeError } from '@phiblocks/tensor';

/**
 * Bytes that can be read in ranges: a file, a `Blob`, an array, a server. Readers of this package never ask for a whole
 * file at once.
 */
export interface ByteSource {
  /** File name for messages, for example `model-00001-of-00002.safetensors`. */
  readonly name: string;
  readonly sizeInBytes: number;
  /**
   * Reads exactly `length` bytes from `offset`. Fewer bytes are an error, never zeros.
   *
   * @param into - filled and returned when given; must have `length` bytes. Without it the result is a new array that
   * belongs to the caller
   * @throws Phi3Error `FILE_RANGE` when the range leaves the source
   * @throws Phi3Error `FILE_CHANGED` when the source is no longer what it was when it was opened
   * @throws Phi3Error `FILE_CLOSED` after {@link ByteSource.close}
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Lets go of the source. Closing twice is harmless. */
  close(): Promise<void>;
}

/**
 * What every {@link ByteSource} checks before it reads, and before it allocates anything.
 *
 * @throws Phi3Error `FILE_RANGE` when the range leaves the source
 * @throws ShapeError `SHAPE` when `into` has another length
 * @example
 * const source = createByteSource(new Uint8Array(8), 'eight.bin');
 * expectReadable(source, 4, 4); // => undefined
 */
export function expectReadable(
  source: { readonly name: string; readonly sizeInBytes: number },
  offset: number,
  length: number,
  into?: Uint8Array,
): void {
  const fits =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    length <= source.sizeInBytes - offset;
  if (!fits) {
    throw new Phi3Error({
      code: 'FILE_RANGE',
      function: 'read',
      expected: `a range within the ${source.sizeInBytes} bytes of the file`,
      got: `${length} bytes from ${offset}`,
      where: { file: source.name, offset },
    });
  }
  if (into !== undefined && into.byteLength !== length) {
    throw new ShapeError({
      function: 'read',
      argument: 'into',
      expected: `${length} bytes`,
      got: into.byteLength,
      where: { file: source.name, offset },
    });
  }
}
