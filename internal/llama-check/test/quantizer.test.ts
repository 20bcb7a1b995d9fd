import { dequantizeRow, quantizeMatrix, rowSizeInBytes } from '@phiblocks/quantization';
import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { type GgmlQuantizer, type LlamaFormat, llamaFormats, openGgmlQuantizer } from '../src/ggml-quantizer.ts';
import { findLlamaLibrary } from '../src/llama-library.ts';

const { ggmlBase, missing } = await findLlamaLibrary();
const because = missing === undefined ? '' : ` (skipped: ${missing})`;

// Row lengths of Phi-3-mini: its hidden size and its feed-forward size. Few rows: each is many blocks.
const lengths = [
  { columns: 3072, rows: 16 },
  { columns: 8192, rows: 6 },
];
/** Normal weights, and weights of which a few, and all in some columns, are far larger than the rest. */
const kinds: Record<string, (seed: number, rows: number, columns: number) => Float32Array> = {
  normal: (seed, rows, columns) => createSeededRandom(seed).normals(rows * columns, 0.02),
  'heavy-tailed': (seed, rows, columns) => {
    const random = createSeededRandom(seed);
    const cubes = random.normals(rows * columns, 1).map((value) => 0.01 * value ** 3);
    return cubes.map((value, i) => ((i % columns) % 97 === 0 ? 8 * value : value));
  },
};
const matrices = lengths.flatMap(({ rows, columns }, index) =>
  Object.entries(kinds).map(([kind, make]) => ({ kind, rows, columns, data: make(index + 1, rows, columns) })),
);

describe.skipIf(ggmlBase === undefined)(`against llama.cpp’s quantizer${because}`, () => {
  let opened: GgmlQuantizer | undefined;
  const llama = () => (opened ??= openGgmlQuantizer(ggmlBase!));

  it.each(llamaFormats)('%s: the type of that name', (format) => {
    expect(llama().nameOf(format).toUpperCase()).toBe(format);
  });

  it.each(['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'] as const)('%s: the same bytes', (format) => {
    for (const { kind, rows, columns, data } of matrices) {
      const { bytes } = quantizeMatrix({ data, shape: [rows, columns] }, format);
      const difference = firstDifference(bytes, llama().quantize(format, data, rows, columns));
      expect(difference, `${kind}, rows of ${columns}`).toBeUndefined();
    }
  });

  it.each(llamaFormats)('%s: bytes of either quantizer mean the same weights', (format) => {
    for (const { rows, columns, data } of matrices) {
      const tensor = { data, shape: [rows, columns] };
      const theirs = llama().quantize(format, data, rows, columns);
      for (const bytes of [theirs, quantizeMatrix(tensor, format, { search: true }).bytes]) {
        const expected = llama().dequantize(format, bytes, data.length);
        expect(largestDifference(dequantized(format, bytes, rows, columns), expected)).toBe(0);
      }
    }
  });

  it.each(llamaFormats.flatMap((format) => matrices.map((matrix) => ({ format, ...matrix }))))(
    '$format with search: RMSE no larger than llama.cpp’s, $kind rows of $columns',
    ({ format, kind, rows, columns, data }) => {
      const searched = quantizeMatrix({ data, shape: [rows, columns] }, format, { search: true });
      // Both sets of bytes are read by llama.cpp, so that our reader cannot favour us.
      const ours = rmse(data, llama().dequantize(format, searched.bytes, data.length));
      const theirs = rmse(data, llama().dequantize(format, llama().quantize(format, data, rows, columns), data.length));
      const ratio = ours / theirs;
      console.log(
        `${format}, ${kind} rows of ${columns}: RMSE ${ours.toExponential(3)}, ${ratio.toFixed(3)} × llama.cpp’s`,
      );
      expect(ratio).toBeLessThanOrEqual(1);
    },
  );
});

function dequantized(format: LlamaFormat, bytes: Uint8Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(rows * columns);
  const size = rowSizeInBytes(format, columns);
  for (let row = 0; row < rows; row++) {
    dequantizeRow(
      format,
      bytes.subarray(row * size, (row + 1) * size),
      out.subarray(row * columns, (row + 1) * columns),
    );
  }
  return out;
}

function rmse(expected: Float32Array, got: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (expected[i]! - got[i]!) ** 2;
  return Math.sqrt(sum / expected.length);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

/** Comparing large arrays element by element with `toEqual` takes seconds. */
function firstDifference(a: Uint8Array, b: Uint8Array): string | undefined {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 && a.length === b.length ? undefined : `byte ${at} of ${a.length}: ${a[at]}, not ${b[at]}`;
}
