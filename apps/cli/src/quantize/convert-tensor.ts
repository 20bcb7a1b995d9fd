import { setImmediate } from 'node:timers/promises';
import { dequantizeRow, quantizeRow, rowSizeInBytes } from '@phiblocks/quantization';
import { isPhi3Error, Phi3Error, type WeightFormat } from '@phiblocks/tensor';
import { createWeightMatrix, isWeightFormat, type StoredTensor, type WeightSource } from '@phiblocks/weights';

/** A tensor in its new format, and what that cost. */
export interface ConvertedTensor {
  readonly bytes: Uint8Array;
  /** Sum of the squared differences to the source, over all weights. */
  readonly squaredError: number;
}

export interface ConvertOptions {
  /** One number per column, for the search of scales. */
  readonly importance: Float32Array | undefined;
  readonly signal: AbortSignal;
  /** Told how many more weights have been converted. */
  readonly onProgress: (weights: number) => void;
}

/** Between two looks at signals and other work. */
const longestSliceMs = 50;

/**
 * Reads one tensor and converts it row by row. In memory are its stored bytes, its new bytes and one row. Where the format
 * stays, the bytes are taken as they are.
 */
export async function convertTensor(
  weights: WeightSource,
  stored: StoredTensor,
  format: WeightFormat,
  { importance, signal, onProgress }: ConvertOptions,
): Promise<ConvertedTensor> {
  signal.throwIfAborted();
  // The reader's own error says what cannot be read as floats, and what can.
  if (!isWeightFormat(stored.format)) await weights.readFloats(stored.name);
  const source = await weights.readBytes(stored.name);
  const numWeights = stored.shape.reduce((product, size) => product * size, 1);
  if (stored.format === format || !isWeightFormat(stored.format)) {
    onProgress(numWeights);
    return { bytes: source, squaredError: 0 };
  }
  const columns = stored.shape.at(-1) ?? 1;
  const rows = columns === 0 ? 0 : numWeights / columns;
  const matrix = createWeightMatrix(stored.format, [rows, columns], source);
  const sizeInBytes = rowSizeInBytes(format, columns);
  const bytes = new Uint8Array(rows * sizeInBytes);
  const row = new Float32Array(columns);
  const back = new Float32Array(columns);
  let squaredError = 0;
  let sliceStart = performance.now();
  for (let index = 0; index < rows; index++) {
    matrix.dequantizeRow(index, row);
    const out = bytes.subarray(index * sizeInBytes, (index + 1) * sizeInBytes);
    try {
      quantizeRow(format, row, { out, importance });
    } catch (error) {
      throw inTensor(error, stored, index);
    }
    dequantizeRow(format, out, back);
    for (let i = 0; i < columns; i++) squaredError += (row[i]! - back[i]!) ** 2;
    onProgress(columns);
    if (performance.now() - sliceStart > longestSliceMs) {
      await setImmediate(); // signals are heard
      signal.throwIfAborted();
      sliceStart = performance.now();
    }
  }
  return { bytes, squaredError };
}

/** The quantizer sees one row; this says of which tensor and file. */
function inTensor(error: unknown, { name, file }: StoredTensor, row: number): unknown {
  if (!isPhi3Error(error)) return error;
  const { code, expected, got, where, argument } = error;
  const key = where.key === undefined ? `row ${row}` : `row ${row}, ${where.key}`;
  return new Phi3Error({
    code,
    function: 'quantize',
    ...(argument === undefined ? {} : { argument }),
    ...(expected === undefined ? {} : { expected }),
    got,
    where: { file, tensor: name, key },
    cause: error,
  });
}
