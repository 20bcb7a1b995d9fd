import type { FloatTensor, WeightMatrix } from '@phiblocks/tensor';

/** Where a tensor lies and what it is, validated against the real size of its file. */
export interface StoredTensor {
  readonly name: string;
  /** As its file spells it: a `WeightFormat`, or one that can be listed but not read (`F8_E4M3`, `I32`, …). */
  readonly format: string;
  /** Outermost dimension first, also for GGUF, whose files list the innermost first: a linear weight is `[out, in]`. */
  readonly shape: readonly number[];
  /** Name of the file that holds it. */
  readonly file: string;
  /** First byte, counted from the start of that file. */
  readonly offset: number;
  readonly sizeInBytes: number;
}

/** The tensors of a checkpoint by name, whatever file format they come in. */
export interface WeightSource {
  /** In file order. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What the reader accepted but a person should know, in sentences. */
  readonly warnings: readonly string[];
  /** The stored bytes of one tensor, straight into `into` when given. */
  readBytes(name: string, into?: Uint8Array): Promise<Uint8Array>;
  /** One tensor as float32, whatever its format. Exact for every readable format. */
  readFloats(name: string): Promise<FloatTensor>;
  /** One matrix in its stored format, with `dequantizeRow`. */
  readMatrix(name: string): Promise<WeightMatrix>;
  close(): Promise<void>;
}
