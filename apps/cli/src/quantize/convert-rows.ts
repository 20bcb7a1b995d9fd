import { dequantizeRow, quantizeRow, rowSizeInBytes } from '@phiblocks/quantization';
import { isPhi3Error, type WeightFormat } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';

/** Some rows of a tensor, on their way to a thread. */
export interface RowsToConvert {
  readonly from: WeightFormat;
  readonly to: WeightFormat;
  readonly columns: number;
  /** Which row of the tensor is the first of these. */
  readonly firstRow: number;
  /** The stored bytes of whole rows, in memory of their own: it moves to the thread. */
  readonly source: Uint8Array<ArrayBuffer>;
  /** One number per column, for the search of scales. */
  readonly importance: Float32Array | undefined;
}

/** What became of them: errors as plain values, since a class does not survive the way between threads. */
export type RowsResult =
  | {
      readonly bytes: Uint8Array<ArrayBuffer>;
      /** Sum of the squared differences to the source. */
      readonly squaredError: number;
    }
  | { readonly failure: RowFailure };

/** What the quantizer objects to. */
export interface RowFailure {
  readonly code: string;
  readonly argument: string | undefined;
  readonly expected: string | undefined;
  readonly got: unknown;
  /** Row, and where it is known column. */
  readonly key: string;
}

/** Converts rows one by one. */
export function convertRows({ from, to, columns, firstRow, source, importance }: RowsToConvert): RowsResult {
  const rows = source.length / rowSizeInBytes(from, columns);
  const matrix = createWeightMatrix(from, [rows, columns], source);
  const sizeInBytes = rowSizeInBytes(to, columns);
  const bytes = new Uint8Array(rows * sizeInBytes);
  const row = new Float32Array(columns);
  const back = new Float32Array(columns);
  let squaredError = 0;
  for (let index = 0; index < rows; index++) {
    matrix.dequantizeRow(index, row);
    const out = bytes.subarray(index * sizeInBytes, (index + 1) * sizeInBytes);
    try {
      quantizeRow(to, row, { out, importance });
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
      const { code, argument, expected, got, where } = error;
      const key = [`row ${firstRow + index}`, ...(where.key === undefined ? [] : [where.key])].join(', ');
      return { failure: { code, argument, expected, got, key } };
    }
    dequantizeRow(to, out, back);
    for (let i = 0; i < columns; i++) {
      const difference = row[i]! - back[i]!;
      squaredError += difference * difference;
    }
  }
  return { bytes, squaredError };
}
