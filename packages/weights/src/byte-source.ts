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
   * @param into - filled and returned when given; must have `length` bytes
   * @throws Phi3Error `FILE_RANGE` when the range leaves the source
   * @throws Phi3Error `FILE_CHANGED` when the source is no longer what it was when it was opened
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}
