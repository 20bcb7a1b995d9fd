import { rowSizeInBytes } from '@phiblocks/quantization';
import { Phi3Error, type WeightFormat } from '@phiblocks/tensor';
import { isWeightFormat, type StoredTensor, type WeightSource } from '@phiblocks/weights';
import { convertRows, type RowFailure, type RowsResult, type RowsToConvert } from './convert-rows.ts';
import type { RowConverter } from './row-converters.ts';

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
  /** What works at the same time. */
  readonly converters: readonly RowConverter[];
  /** Told how many more weights have been converted. */
  readonly onProgress: (weights: number) => void;
}

/**
 * A piece of work takes some 50 ms in the slowest format: short between two looks at signals, long beside the way to a thread.
 * It does not depend on the number of threads, so that neither bytes nor sums do.
 */
const weightsPerPiece = 2 ** 18;

/**
 * Reads one tensor and converts it in pieces of whole rows, on all converters at once. In memory are its stored bytes, its new
 * bytes and a piece per converter. Where the format stays, the bytes are taken as they are.
 */
export async function convertTensor(
  weights: WeightSource,
  stored: StoredTensor,
  format: WeightFormat,
  { importance, signal, converters, onProgress }: ConvertOptions,
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
  const from = stored.format;
  const columns = stored.shape.at(-1) ?? 1;
  const rows = columns === 0 ? 0 : numWeights / columns;
  const rowsPerPiece = Math.max(1, Math.floor(weightsPerPiece / columns));
  const numPieces = Math.ceil(rows / rowsPerPiece);
  const sourceRowSize = rowSizeInBytes(from, columns);
  const rowSize = rowSizeInBytes(format, columns);
  const bytes = new Uint8Array(rows * rowSize);
  const squaredErrors = new Float64Array(numPieces);

  // A failure lets the pieces before it end: the error is that of the first row that has one, whoever finds it.
  let firstFailure: { readonly piece: number; readonly failure: RowFailure } | undefined;
  let next = 0;
  const work = async (convert: (rows: RowsToConvert) => RowsResult | Promise<RowsResult>) => {
    while (next < (firstFailure?.piece ?? numPieces)) {
      const piece = next++;
      const firstRow = piece * rowsPerPiece;
      const endRow = Math.min(rows, firstRow + rowsPerPiece);
      const stretch = source.subarray(firstRow * sourceRowSize, endRow * sourceRowSize);
      const result = await convert({
        from,
        to: format,
        columns,
        firstRow,
        source: new Uint8Array(stretch), // a copy
        importance,
      });
      if ('failure' in result) {
        if (!firstFailure || piece < firstFailure.piece) firstFailure = { piece, failure: result.failure };
      } else {
        bytes.set(result.bytes, firstRow * rowSize);
        squaredErrors[piece] = result.squaredError;
        onProgress((endRow - firstRow) * columns);
      }
    }
  };
  // One piece is not worth a thread.
  if (numPieces <= 1) await work(convertRows);
  else await Promise.all(converters.map(work));
  signal.throwIfAborted();
  if (firstFailure) throw inTensor(firstFailure.failure, stored);
  return { bytes, squaredError: squaredErrors.reduce((sum, squaredError) => sum + squaredError, 0) };
}

/** The quantizer sees one row; this says of which tensor and file. */
function inTensor({ code, argument, expected, got, key }: RowFailure, { name, file }: StoredTensor): Phi3Error {
  return new Phi3Error({
    code,
    function: 'quantize',
    ...(argument === undefined ? {} : { argument }),
    ...(expected === undefined ? {} : { expected }),
    got,
    where: { file, tensor: name, key },
  });
}
