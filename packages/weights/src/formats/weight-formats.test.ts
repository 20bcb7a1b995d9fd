import { float32ToFloat16, type WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockLayout, isWeightFormat, weightFormats, weightSizeInBytes } from './block-layout.ts';
import { createWeightMatrix, decodeTensor } from './weight-formats.ts';

// The definition: one weight at a time, in float64, straight from the description of the formats. `b` is the block.

type Definition = { weights: number; bytes: number; weight(b: Uint8Array, i: number): number };

const u16 = (b: Uint8Array, at: number): number => b[at]! + 256 * b[at + 1]!;
const int8 = (byte: number): number => (byte > 127 ? byte - 256 : byte);

function half(b: Uint8Array, at: number): number {
  const bits = u16(b, at);
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 1024) % 32;
  const fraction = bits % 1024;
  if (exponent === 31) return fraction > 0 ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return (sign * fraction) / 2 ** 24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Weight i of 32: byte i holds weight i low and weight i + 16 high. */
const nibble32 = (b: Uint8Array, at: number, i: number): number =>
  i < 16 ? b[at + i]! % 16 : Math.floor(b[at + i - 16]! / 16);
const bitOf = (b: Uint8Array, at: number, i: number): number =>
  Math.floor(b[at + Math.floor(i / 8)]! / 2 ** (i % 8)) % 2;

function scaleAndMinimum(s: Uint8Array, j: number): [number, number] {
  if (j < 4) return [s[j]! % 64, s[j + 4]! % 64];
  return [(s[j + 4]! % 16) + 16 * Math.floor(s[j - 4]! / 64), Math.floor(s[j + 4]! / 16) + 16 * Math.floor(s[j]! / 64)];
}

/** Weight i of 256: chunks of 64, low nibbles first, then high nibbles, of 32 bytes. */
function nibble256(b: Uint8Array, at: number, i: number): number {
  const byte = b[at + 32 * Math.floor(i / 64) + (i % 32)]!;
  return i % 64 < 32 ? byte % 16 : Math.floor(byte / 16);
}

const definitions: Record<WeightFormat, Definition> = {
  F32: { weights: 1, bytes: 4, weight: (b) => new DataView(b.slice().buffer).getFloat32(0, true) },
  F16: { weights: 1, bytes: 2, weight: (b) => half(b, 0) },
  BF16: {
    weights: 1,
    bytes: 2,
    weight: (b) => new DataView(Uint8Array.of(0, 0, b[0]!, b[1]!).buffer).getFloat32(0, true),
  },
  Q8_0: { weights: 32, bytes: 34, weight: (b, i) => half(b, 0) * int8(b[2 + i]!) },
  Q4_0: { weights: 32, bytes: 18, weight: (b, i) => half(b, 0) * (nibble32(b, 2, i) - 8) },
  Q4_1: { weights: 32, bytes: 20, weight: (b, i) => half(b, 0) * nibble32(b, 4, i) + half(b, 2) },
  Q5_0: {
    weights: 32,
    bytes: 22,
    weight: (b, i) => half(b, 0) * (nibble32(b, 6, i) + 16 * bitOf(b, 2, i) - 16),
  },
  Q5_1: {
    weights: 32,
    bytes: 24,
    weight: (b, i) => half(b, 0) * (nibble32(b, 8, i) + 16 * bitOf(b, 4, i)) + half(b, 2),
  },
  Q4_K: {
    weights: 256,
    bytes: 144,
    weight(b, i) {
      const [scale, minimum] = scaleAndMinimum(b.subarray(4, 16), Math.floor(i / 32));
      return half(b, 0) * scale * nibble256(b, 16, i) - half(b, 2) * minimum;
    },
  },
  Q5_K: {
    weights: 256,
    bytes: 176,
    weight(b, i) {
      const group = Math.floor(i / 32);
      const [scale, minimum] = scaleAndMinimum(b.subarray(4, 16), group);
      const q = nibble256(b, 48, i) + 16 * (Math.floor(b[16 + (i % 32)]! / 2 ** group) % 2);
      return half(b, 0) * scale * q - half(b, 2) * minimum;
    },
  },
  Q6_K: {
    weights: 256,
    bytes: 210,
    weight(b, i) {
      const n = Math.floor(i / 128);
      const group = Math.floor((i % 128) / 32); // a, b, c, e of the description
      const l = i % 32;
      const low = b[64 * n + l + (group % 2) * 32]!;
      const nibble = group < 2 ? low % 16 : Math.floor(low / 16);
      const pair = Math.floor(b[128 + 32 * n + l]! / 4 ** group) % 4;
      const scale = int8(b[192 + 8 * n + Math.floor(l / 16) + 2 * group]!);
      return half(b, 208) * scale * (nibble + 16 * pair - 32);
    },
  },
};

const formats = Object.keys(definitions) as WeightFormat[];

function expectedRow(format: WeightFormat, bytes: Uint8Array): Float32Array {
  const definition = definitions[format];
  const count = (bytes.length / definition.bytes) * definition.weights;
  return Float32Array.from({ length: count }, (_, i) => {
    const block = Math.floor(i / definition.weights) * definition.bytes;
    return definition.weight(bytes.subarray(block, block + definition.bytes), i % definition.weights);
  });
}

// Every product in these formulas is exact in float64, so each weight is rounded once and must be equal to the last bit.
function expectSame(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    // `-0` and `0` are the same weight.
    if (!(actual[i] === expected[i] || (Number.isNaN(actual[i]) && Number.isNaN(expected[i]!)))) {
      expect.fail(`weight ${i}: got ${actual[i]}, expected ${expected[i]}`);
    }
  }
}

describe('the definition, for random bytes', () => {
  it.each(formats)('%s rows, with infinite and NaN scales where the bytes say so', (format) => {
    const { weights, bytes } = definitions[format];
    const random = createSeededRandom(7);
    const [rows, columns] = [24, weights * 3];
    const stored = Uint8Array.from({ length: rows * 3 * bytes }, () => random.integer(256));
    const matrix = createWeightMatrix(format, [rows, columns], stored);
    const row = new Float32Array(columns);
    for (let r = 0; r < rows; r++) {
      matrix.dequantizeRow(r, row);
      expectSame(row, expectedRow(format, stored.subarray(r * 3 * bytes, (r + 1) * 3 * bytes)));
    }
    expectSame(decodeTensor(format, [2, rows / 2, columns], stored).data, expectedRow(format, stored));
  });

  it('F16: all 65,536 values', () => {
    const stored = Uint8Array.from({ length: 2 * 65536 }, (_, i) => (i % 2 === 0 ? (i >> 1) & 255 : i >> 9));
    expectSame(decodeTensor('F16', [65536], stored).data, expectedRow('F16', stored));
  });
});

describe('by hand', () => {
  const halfBytes = (value: number): number[] => {
    const bits = float32ToFloat16(value);
    return [bits & 255, bits >> 8];
  };

  it('Q4_0: the nibbles of a byte lie 16 weights apart, and the scale may be negative', () => {
    const bytes = Uint8Array.from([...halfBytes(-0.5), 0xf0, ...new Array(15).fill(0x88)]);
    const { data } = decodeTensor('Q4_0', [32], bytes);
    expect(data[0]).toBe(4); //     −0.5 · (0 − 8)
    expect(data[16]).toBe(-3.5); // −0.5 · (15 − 8)
    expect([...data].filter((w) => w !== 0)).toEqual([4, -3.5]);
  });

  it('Q8_0: bytes are signed', () => {
    const bytes = Uint8Array.from([...halfBytes(2), 0x80, 0x7f, 0xff, ...new Array(29).fill(0)]);
    expect([...decodeTensor('Q8_0', [32], bytes).data.subarray(0, 4)]).toEqual([-256, 254, -2, 0]);
  });

  it('Q5_1: the fifth bit adds 16', () => {
    const bytes = Uint8Array.from([...halfBytes(1), ...halfBytes(0.25), 1, 0, 0, 0x80, ...new Array(16).fill(0)]);
    const { data } = decodeTensor('Q5_1', [32], bytes);
    expect([data[0], data[1], data[31]]).toEqual([16.25, 0.25, 16.25]);
  });

  it('Q4_K: the minimum is subtracted', () => {
    const bytes = new Uint8Array(144);
    bytes.set([...halfBytes(1), ...halfBytes(2)]);
    bytes[4] = 3; // scale 0
    bytes[8] = 5; // minimum 0
    bytes[16] = 0x07; // weight 0
    const { data } = decodeTensor('Q4_K', [256], bytes);
    expect(data[0]).toBe(3 * 7 - 2 * 5);
    expect(data[1]).toBe(-10);
    expect(data[32]).toBe(0);
  });

  it('Q6_K: the scale comes last, and zero bits stand for −32', () => {
    const bytes = new Uint8Array(210);
    bytes.fill(1, 192, 208);
    bytes[192] = 0xff; // scale −1 for the first 16 weights
    bytes.set(halfBytes(0.5), 208);
    const { data } = decodeTensor('Q6_K', [256], bytes);
    expect([data[0], data[15], data[16], data[255]]).toEqual([16, 16, -16, -16]);
  });
});

describe('properties', () => {
  it('a row is the same alone and in its tensor, at any alignment of the bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...formats),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer(),
        (format, rows, shift, seed) => {
          const random = createSeededRandom(seed);
          const { weightsPerBlock: columns, bytesPerBlock } = blockLayout(format);
          const buffer = Uint8Array.from({ length: shift + rows * bytesPerBlock }, () => random.integer(256));
          const bytes = buffer.subarray(shift);
          const whole = decodeTensor(format, [rows, columns], bytes).data;
          const matrix = createWeightMatrix(format, [rows, columns], bytes);
          const row = new Float32Array(columns);
          for (let r = 0; r < rows; r++) {
            matrix.dequantizeRow(r, row);
            expectSame(row, whole.subarray(r * columns, (r + 1) * columns));
          }
        },
      ),
      { seed: 11, numRuns: 60 },
    );
  });

  it('linear in the scale: doubling d doubles every Q4_0 weight', () => {
    const random = createSeededRandom(3);
    const nibbles = Array.from({ length: 16 }, () => random.integer(256));
    const once = decodeTensor('Q4_0', [32], Uint8Array.from([0x00, 0x2c, ...nibbles])).data; // 2^-4
    const twice = decodeTensor('Q4_0', [32], Uint8Array.from([0x00, 0x30, ...nibbles])).data; // 2^-3
    expectSame(
      twice,
      once.map((w) => 2 * w),
    );
  });
});

describe('sizes', () => {
  it.each(formats)('%s has the block size of its definition', (format) => {
    const { weights, bytes } = definitions[format];
    expect(blockLayout(format)).toEqual({ weightsPerBlock: weights, bytesPerBlock: bytes });
    expect(weightSizeInBytes(format, [3, 2 * weights])).toBe(6 * bytes);
    expect(isWeightFormat(format)).toBe(true);
  });

  it('lists exactly these formats', () => {
    expect(weightFormats()).toEqual(formats);
  });

  it('a tensor may be empty or a scalar', () => {
    expect(decodeTensor('F32', [], new Uint8Array([0, 0, 128, 63])).data).toEqual(new Float32Array([1]));
    expect(decodeTensor('BF16', [0, 4], new Uint8Array(0)).data.length).toBe(0);
    expect(createWeightMatrix('Q8_0', [0, 32], new Uint8Array(0)).shape).toEqual([0, 32]);
  });
});

describe('errors', () => {
  it('bytes that are too few or too many', () => {
    expect(() => createWeightMatrix('Q4_0', [2, 32], new Uint8Array(35))).toThrow(
      'SHAPE createWeightMatrix(bytes): expected 36 bytes for Q4_0 [2, 32], got 35',
    );
    expect(() => decodeTensor('F32', [2], new Uint8Array(9))).toThrow(
      'SHAPE decodeTensor(bytes): expected 8 bytes for F32 [2], got 9',
    );
  });

  it('rows that are no whole number of blocks', () => {
    expect(() => createWeightMatrix('Q4_K', [256, 32], new Uint8Array(32 * 144))).toThrow(
      'SHAPE weightSizeInBytes(shape): expected rows of a multiple of 256 weights for Q4_K, got [256, 32]',
    );
  });

  it('a matrix has two dimensions', () => {
    const shape = [4] as unknown;
    expect(() => createWeightMatrix('F16', shape as [number, number], new Uint8Array(8))).toThrow(
      'SHAPE createWeightMatrix(shape): expected [rows, columns], got [4]',
    );
  });

  it('an unknown format', () => {
    const format = 'Q9' as WeightFormat;
    expect(() => decodeTensor(format, [1], new Uint8Array(1))).toThrow(
      /^ARGUMENT blockLayout\(format\): expected F32, F16/,
    );
  });

  it('a row or a destination that does not fit', () => {
    const matrix = createWeightMatrix('F16', [2, 3], new Uint8Array(12));
    expect(() => matrix.dequantizeRow(2, new Float32Array(3))).toThrow(
      'ARGUMENT dequantizeRow(row): expected a whole number from 0 to 1, got 2',
    );
    expect(() => matrix.dequantizeRow(Number.NaN, new Float32Array(3))).toThrow(/^ARGUMENT/);
    expect(() => matrix.dequantizeRow(0, new Float32Array(4))).toThrow(
      'SHAPE dequantizeRow(out): expected 3 elements, got 4',
    );
  });
});
