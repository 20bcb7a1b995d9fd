import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { compareFormats, matrixNames, readMatrices, rowInFormat } from '../figures/quantization-error.ts';

const file = new Uint8Array(
  readFileSync(fileURLToPath(new URL('../../packages/nano/models/nano-mini/model.safetensors', import.meta.url))),
);
const name = 'model.layers.0.self_attn.o_proj.weight';

/** The tensor straight from the bytes: a header of JSON, then bfloat16. */
function readByHand(): Float32Array {
  const view = new DataView(file.buffer, file.byteOffset);
  const headerLength = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerLength)));
  const [start, end] = header[name].data_offsets as [number, number];
  const values = new Float32Array((end - start) / 2);
  const word = new DataView(new ArrayBuffer(4));
  for (let i = 0; i < values.length; i++) {
    word.setUint32(0, view.getUint16(8 + headerLength + start + 2 * i, true) << 16);
    values[i] = word.getFloat32(0);
  }
  return values;
}

const round16 = (value: number): number => {
  if (value === 0) return 0;
  // float16 keeps 11 bits of numbers from 2^-14 up, and multiples of 2^-24 below.
  const unit = Math.max(2 ** (Math.floor(Math.log2(Math.abs(value))) - 10), 2 ** -24);
  const steps = value / unit;
  const below = Math.floor(steps);
  const rest = steps - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * unit;
};

/** Q4_0 as the page states it. */
function q4(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += 32) {
    let m = 0;
    for (let i = start; i < start + 32; i++) if (Math.abs(values[i]!) > Math.abs(m)) m = values[i]!;
    const d = Math.fround(m / -8);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    for (let i = start; i < start + 32; i++) {
      const code = Math.min(15, Math.floor(Math.fround(Math.fround(values[i]! * inverse) + 8.5)));
      out[i] = round16(d) * (code - 8);
    }
  }
  return out;
}

it('finds the matrices of nano-mini', async () => {
  const names = await matrixNames(file);
  expect(names).toContain(name);
  expect(names).not.toContain('model.norm.weight');
});

it('measures Q4_0 as the definition does, on the real weight', async () => {
  const weight = (await readMatrices(file, [name])).get(name)!;
  const byHand = readByHand();
  expect(weight.data).toEqual(byHand);

  const rounded = q4(byHand);
  let squares = 0;
  let own = 0;
  for (let i = 0; i < byHand.length; i++) {
    squares += (byHand[i]! - rounded[i]!) ** 2;
    own += byHand[i]! ** 2;
  }
  const result = compareFormats(weight, false).find(({ format }) => format === 'Q4_0')!;
  expect(result.sizeInBytes).toBe((byHand.length / 32) * 18);
  expect(result.bitsPerWeight).toBe(4.5);
  // The same numbers, summed in another order in float64.
  expect(result.error.rmse).toBeCloseTo(Math.sqrt(squares / byHand.length), 12);
  expect(result.relativeError).toBeCloseTo(Math.sqrt(squares / own), 10);

  const row = rowInFormat(weight, 3, 'Q4_0', false, 64);
  expect(row.original).toEqual(byHand.slice(3 * 256, 3 * 256 + 64));
  expect(row.quantized).toEqual(rounded.slice(3 * 256, 3 * 256 + 64));
});

it('orders formats as they should be: more bits less error, searching never worse, bfloat16 exact', async () => {
  const weight = (await readMatrices(file, [name])).get(name)!;
  const plain = new Map(compareFormats(weight, false).map((result) => [result.format, result]));
  const searched = new Map(compareFormats(weight, true).map((result) => [result.format, result]));
  const rmse = (format: 'Q4_0' | 'Q5_0' | 'Q6_K' | 'Q8_0' | 'BF16' | 'F32') => plain.get(format)!.error.rmse;
  expect(rmse('Q4_0')).toBeGreaterThan(1.8 * rmse('Q5_0'));
  expect(rmse('Q5_0')).toBeGreaterThan(rmse('Q6_K'));
  expect(rmse('Q6_K')).toBeGreaterThan(rmse('Q8_0'));
  expect([rmse('BF16'), rmse('F32')]).toEqual([0, 0]);
  for (const [format, result] of searched)
    expect(result.error.rmse, format).toBeLessThanOrEqual(plain.get(format)!.error.rmse);
});
