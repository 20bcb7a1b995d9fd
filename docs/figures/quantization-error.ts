import { measureError, type QuantizationError, quantizeMatrix, rowFits } from '@phiblocks/quantization';
import type { FloatTensor, WeightFormat } from '@phiblocks/tensor';
import { createByteSource, openSafetensors, weightFormats } from '@phiblocks/weights';

/** One format and what it makes of a weight. */
export interface FormatResult {
  readonly format: WeightFormat;
  readonly sizeInBytes: number;
  readonly bitsPerWeight: number;
  readonly error: QuantizationError;
  /** RMSE as a share of the root mean square of the weight itself. */
  readonly relativeError: number;
}

/** The matrices of a safetensors file, read as floats. */
export async function readMatrices(file: Uint8Array, names: readonly string[]): Promise<Map<string, FloatTensor>> {
  const source = await openSafetensors(createByteSource(file, 'model.safetensors'));
  const matrices = new Map<string, FloatTensor>();
  for (const name of names) matrices.set(name, await source.readFloats(name));
  await source.close();
  return matrices;
}

/** The names of the matrices of a safetensors file. */
export async function matrixNames(file: Uint8Array): Promise<string[]> {
  const source = await openSafetensors(createByteSource(file, 'model.safetensors'));
  const names = [...source.tensors.values()].filter(({ shape }) => shape.length === 2).map(({ name }) => name);
  await source.close();
  return names.sort();
}

/**
 * A weight in every format that its rows fit, smallest first.
 *
 * @param search - look for the scales of least squared error instead of taking them from the range
 */
export function compareFormats(weight: FloatTensor, search: boolean): FormatResult[] {
  const [rows, columns] = weight.shape as [number, number];
  const rootMeanSquare = Math.sqrt(weight.data.reduce((sum, value) => sum + value * value, 0) / (rows * columns));
  return weightFormats()
    .filter((format) => rowFits(format, columns))
    .map((format) => {
      const isFloat = format === 'F32' || format === 'F16' || format === 'BF16';
      const matrix = quantizeMatrix(weight, format, isFloat ? {} : { search });
      const error = measureError(weight, matrix);
      return {
        format,
        sizeInBytes: matrix.bytes.byteLength,
        bitsPerWeight: (8 * matrix.bytes.byteLength) / (rows * columns),
        error,
        relativeError: error.rmse / rootMeanSquare,
      };
    })
    .sort((a, b) => a.sizeInBytes - b.sizeInBytes || b.error.rmse - a.error.rmse);
}

/** The first weights of a row, as they are and as a format has them. */
export function rowInFormat(weight: FloatTensor, row: number, format: WeightFormat, search: boolean, count: number) {
  const [, columns] = weight.shape as [number, number];
  const original = weight.data.slice(row * columns, (row + 1) * columns);
  const isFloat = format === 'F32' || format === 'F16' || format === 'BF16';
  const matrix = quantizeMatrix({ data: original, shape: [1, columns] }, format, isFloat ? {} : { search });
  const quantized = new Float32Array(columns);
  matrix.dequantizeRow(0, quantized);
  return { original: original.subarray(0, count), quantized: quantized.subarray(0, count) };
}
