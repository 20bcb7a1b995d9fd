/**
 * The formats in which a weight matrix may be stored: the float formats of safetensors and the block formats of GGUF,
 * spelled as their files spell them.
 */
export type WeightFormat =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'Q8_0'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K';

/**
 * A weight matrix as its checkpoint stores it. `linear` computes `y = x · Wᵀ`, so a row holds the weights of one output.
 *
 * Every backend can run every format through `dequantizeRow`; a fast one reads `bytes` in the formats it knows.
 */
export interface WeightMatrix {
  readonly format: WeightFormat;
  /** `[rows, columns]`, that is `[out, in]`. */
  readonly shape: readonly [rows: number, columns: number];
  /** The stored bytes, row after row, each row a whole number of blocks. */
  readonly bytes: Uint8Array;
  /**
   * Writes one row as float32.
   *
   * @param row - from 0 to rows - 1
   * @param out - `columns` elements
   */
  dequantizeRow(row: number, out: Float32Array): void;
}
