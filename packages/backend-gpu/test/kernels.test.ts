import { readdirSync } from 'node:fs';
import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import * as attention from '../kernels/attention.ts';
import * as elementwise from '../kernels/elementwise.ts';
import * as experts from '../kernels/experts.ts';
import type { Numbers } from '../kernels/kernel-types.ts';
import * as linear from '../kernels/linear.ts';
import * as norms from '../kernels/norms.ts';
import * as patches from '../kernels/patches.ts';
import { kernelSources } from '../src/generated/kernels.ts';
import { packRows } from '../src/pack-weights.ts';
import { packedFormats, packedLayout } from '../src/packed-layout.ts';
import { allFormats, createWeightMatrix, randomBytes } from './random-matrix.ts';

// Every kernel as the plain function that it is, in float64, against its formula. What a device makes of it, the conformance
// suite tests.

type AnyKernel = (this: { thread: { x: number; y: number; z: number }; constants: never }, ...args: never[]) => number;

/** Runs a kernel for every element of a result of `rows` by `columns`. */
function run(
  kernel: unknown,
  columns: number,
  rows: number,
  args: readonly unknown[],
  constants: object = {},
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let z = 0; z < rows; z++) {
    for (let x = 0; x < columns; x++) {
      out[z * columns + x] = Reflect.apply(kernel as AnyKernel, { thread: { x, y: 0, z }, constants }, args);
    }
  }
  return out;
}

/** A flat array as kernels see it. */
function as3d(data: ArrayLike<number>, columns: number): Numbers {
  const rows: ArrayLike<number>[][] = [];
  for (let start = 0; start < data.length; start += columns)
    rows.push([Array.from(data).slice(start, start + columns)]);
  return rows;
}

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>) =>
  expectClose(actual, expected, { absolute: 1e-12, relative: 1e-12, reason: 'both run in float64' });

const random = createSeededRandom(7);
const normals = (count: number) => Array.from({ length: count }, () => random.normal());
const silu = (z: number) => z / (1 + Math.exp(-z));

it('every kernel that ships is a function of kernels/', () => {
  const all = { ...attention, ...elementwise, ...experts, ...linear, ...norms, ...patches };
  expect(Object.keys(kernelSources).sort()).toEqual(Object.keys(all).sort());
  expect(readdirSync(new URL('../kernels', import.meta.url)).length).toBe(7);
  for (const source of Object.values(kernelSources)) expect(source).toMatch(/^function \w+\(/);
});

describe('elementwise', () => {
  const [a, b] = [normals(12), normals(12)];
  it('add, multiply, slice and joins', () => {
    close(
      run(elementwise.add, 4, 3, [as3d(a, 4), as3d(b, 4)]),
      a.map((value, i) => value + b[i]!),
    );
    close(
      run(elementwise.multiply, 4, 3, [as3d(a, 4), -2]),
      a.map((value) => -2 * value),
    );
    close(run(elementwise.slice, 2, 2, [as3d(a, 4), 1, 2]), [a[6]!, a[7]!, a[10]!, a[11]!]);
    close(run(elementwise.joinRows, 4, 6, [as3d(a, 4), as3d(b, 4), 3]), [...a, ...b]);
    const joined = run(elementwise.joinColumns, 8, 3, [as3d(a, 4), as3d(b, 4), 4]);
    close(
      joined,
      [0, 1, 2].flatMap((row) => [...a.slice(4 * row, 4 * row + 4), ...b.slice(4 * row, 4 * row + 4)]),
    );
  });

  it('gated activations', () => {
    close(
      run(elementwise.swiglu, 2, 3, [as3d(a, 4), 2]),
      [0, 1, 4, 5, 8, 9].map((i) => silu(a[i]!) * a[i + 2]!),
    );
    close(
      run(elementwise.gate, 4, 3, [as3d(a, 4), as3d(b, 4)]),
      a.map((value, i) => silu(value) * b[i]!),
    );
    const gegelu = (gate: number, up: number) => {
      const g = Math.min(gate, 0.5);
      return (g / (1 + Math.exp(-1.702 * g))) * (Math.max(-0.5, Math.min(up, 0.5)) + 1);
    };
    close(
      run(elementwise.gegelu, 2, 3, [as3d(a, 4), 2, 0.5]),
      [0, 1, 4, 5, 8, 9].map((i) => gegelu(a[i]!, a[i + 2]!)),
    );
  });

  it('gelu has the tabulated values, quickGelu its formula', () => {
    const points = [-6, -3, -1, -0.1, 0, 0.1, 1, 3, 6];
    // z · Φ(z) from a table of the normal distribution.
    const tabulated = [
      -5.919526e-9, -0.0040496941, -0.15865525, -0.046017216, 0, 0.053982784, 0.84134475, 2.9959503, 6,
    ];
    expectClose(run(elementwise.gelu, 9, 1, [as3d(points, 9)]), tabulated, { relative: 2e-7, reason: 'eight digits' });
    close(
      run(elementwise.quickGelu, 9, 1, [as3d(points, 9)]),
      points.map((z) => z / (1 + Math.exp(-1.702 * z))),
    );
  });
});

describe('norms', () => {
  const columns = 37;
  const x = normals(2 * columns);
  const [weight, bias] = [normals(columns), normals(columns)];
  const rowsOf = (data: number[]) => [data.slice(0, columns), data.slice(columns)];
  const slices = 3;
  const squaresAround = (sums: Numbers, isCentered: number) =>
    as3d(run(norms.squareSlices, slices, 2, [as3d(x, columns), sums, columns, 16, slices, isCentered]), slices);

  it('rmsNorm', () => {
    const got = run(norms.rmsNorm, columns, 2, [
      as3d(x, columns),
      squaresAround(as3d([0], 1), 0),
      as3d(weight, columns),
      columns,
      slices,
      0.1,
    ]);
    const expected = rowsOf(x).flatMap((row) => {
      const scale = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / columns + 0.1);
      return row.map((value, i) => (value / scale) * weight[i]!);
    });
    close(got, expected);
  });

  it('layerNorm', () => {
    const sums = as3d(run(norms.sumSlices, slices, 2, [as3d(x, columns), columns, 16]), slices);
    const args = [
      as3d(x, columns),
      sums,
      squaresAround(sums, 1),
      as3d(weight, columns),
      as3d(bias, columns),
      columns,
      slices,
      0.1,
    ];
    const expected = rowsOf(x).flatMap((row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / columns;
      const scale = Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / columns + 0.1);
      return row.map((value, i) => ((value - mean) / scale) * weight[i]! + bias[i]!);
    });
    close(run(norms.layerNorm, columns, 2, args), expected);
  });
});

describe('linear and embed', () => {
  const [rows, tokens] = [5, 2];
  it('float weights', () => {
    const columns = 7;
    const [x, w, bias] = [normals(tokens * columns), normals(rows * columns), normals(rows)];
    const sideBySide = Array.from(
      { length: rows * columns },
      (_, i) => w[(i % rows) * columns + Math.floor(i / rows)]!,
    );
    const expected = Array.from({ length: tokens * rows }, (_, i) => {
      const [token, row] = [Math.floor(i / rows), i % rows];
      return w
        .slice(row * columns, (row + 1) * columns)
        .reduce((sum, value, k) => sum + value * x[token * columns + k]!, bias[row]!);
    });
    close(
      run(linear.linearFloat, rows, tokens, [as3d(x, columns), as3d(sideBySide, rows), as3d(bias, rows), columns, 1]),
      expected,
    );
    const embedded = run(linear.embedFloat, columns, 3, [as3d(sideBySide, rows), as3d([4, 0, 9], 3), 0, rows]);
    close(embedded, [...w.slice(4 * columns), ...w.slice(0, columns), ...Array(columns).fill(0)]);
  });

  it.each(allFormats)('%s weights, packed for both kinds of words', (format) => {
    const columns = 512;
    const matrix = createWeightMatrix(format, [rows, columns], randomBytes(random, format, rows * columns));
    const w = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) matrix.dequantizeRow(row, w.subarray(row * columns, (row + 1) * columns));
    const x = normals(tokens * columns);
    const expected = Array.from({ length: tokens * rows }, (_, i) => {
      const [token, row] = [Math.floor(i / rows), i % rows];
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += w[row * columns + k]! * x[token * columns + k]!;
      return sum;
    });
    for (const [mode, wordBits] of [
      ['webgl2', 24],
      ['webgpu', 16],
    ] as const) {
      const layout = packedLayout(packedFormats[format]!, wordBits);
      const packed = packRows(matrix, layout, mode, 0, rows);
      // On WebGPU the shader shows the kernel halves of words of 32 bits.
      const words = Array.from({ length: packed.wordRows * rows }, (_, i) => {
        const [k, row] = [Math.floor(i / rows), i % rows];
        return mode === 'webgpu'
          ? (packed.words[(k >> 1) * rows + row]! >>> (16 * (k & 1))) & 0xffff
          : packed.words[i]!;
      });
      expect(Math.max(...words)).toBeLessThan(2 ** wordBits);
      const constants = {
        ...layout,
        radix: 2 ** layout.bits,
        inverseRadix: 2 ** -layout.bits,
        hasOffset: layout.hasOffset ? 1 : 0,
      };
      const [scales, offsets] = [
        as3d(packed.scales, rows),
        as3d(packed.offsets.length > 0 ? packed.offsets : [0], rows),
      ];
      const groups = columns / layout.groupSize;
      const product = run(
        linear.linearPacked,
        rows,
        tokens,
        [as3d(x, columns), as3d(words, rows), scales, offsets, scales, groups, 0],
        constants,
      );
      expectClose(product, expected, {
        absolute: 1e-4,
        relative: 1e-6,
        reason: 'stored values are rounded to float32',
      });
      const ids = as3d([rows - 1, 0], 2);
      const embedded = run(
        linear.embedPacked,
        columns,
        2,
        [as3d(words, rows), scales, offsets, ids, 0, rows],
        constants,
      );
      // Not one value is changed by taking it apart.
      expect(embedded.map(Math.fround)).toEqual(
        Float64Array.from([...w.slice((rows - 1) * columns), ...w.slice(0, columns)]),
      );
    }
  });
});

describe('attention', () => {
  it('rotate turns pairs, and leaves what lies behind them', () => {
    const got = run(attention.rotate, 6, 1, [as3d([1, 2, 3, 4, 5, 6], 6), as3d([0], 1), as3d([1], 1), 3, 1]);
    expect([...got]).toEqual([-2, 1, 3, -5, 4, 6]);
  });

  const [heads, keyValueHeads, headDim, length, tokens] = [4, 2, 3, 11, 3];
  const width = keyValueHeads * headDim;
  const rows = normals(length * 2 * width);
  const queries = normals(tokens * heads * headDim);

  it('appendRows puts keys and values behind what is there', () => {
    const [keys, values] = [normals(2 * width), normals(2 * width)];
    const got = run(attention.appendRows, 2 * width, 5, [
      as3d(rows, 2 * width),
      as3d(keys, width),
      as3d(values, width),
      3,
      width,
    ]);
    const added = [0, 1].flatMap((row) => [keys, values].flatMap((all) => all.slice(row * width, (row + 1) * width)));
    expect([...got]).toEqual([...rows.slice(0, 6 * width), ...added]);
  });

  it('rotateStored is rotate of the keys of both arrays', () => {
    const [cos, sin] = [normals(length), normals(length)];
    const [stored, recent] = [rows.slice(0, 7 * 2 * width), rows.slice(7 * 2 * width)];
    const args = [as3d(stored, 2 * width), as3d(recent, 2 * width), as3d(cos, 1), as3d(sin, 1), 7, width, headDim, 1];
    const got = run(attention.rotateStored, 2 * width, length, args);
    const rotated = run(attention.rotate, 2 * width, length, [
      as3d(rows, 2 * width),
      as3d(cos, 1),
      as3d(sin, 1),
      headDim,
      1,
    ]);
    const expected = rows.map((value, i) => (i % (2 * width) < width ? rotated[i]! : value));
    close(got, expected);
  });

  it.each([
    ['dense', 1, 0, undefined],
    ['not causal', 0, 0, undefined],
    ['a window of 4', 1, 4, undefined],
    ['block-sparse', 1, 0, { blockSize: 2, numLocalBlocks: 1, verticalStride: 3, headStep: 1 }],
  ] as const)('scores, softmax and mix: %s', (_name, isCausal, window, sparse) => {
    const start = length - tokens;
    const firstKey = window > 0 ? start - window + 1 : 0;
    const keys = length - firstKey;
    const [stored, recent] = [
      as3d(rows.slice(0, 6 * 2 * width), 2 * width),
      as3d(rows.slice(6 * 2 * width), 2 * width),
    ];
    const sparseArgs = [
      sparse?.blockSize ?? 0,
      sparse?.numLocalBlocks ?? 0,
      sparse?.verticalStride ?? 1,
      sparse?.headStep ?? 0,
    ];
    const scores = as3d(
      run(attention.attentionScores, keys, tokens * heads, [
        as3d(queries, heads * headDim),
        stored,
        recent,
        6,
        firstKey,
        0,
        heads,
        2,
        headDim,
        0.5,
        start,
        isCausal,
        window,
        ...sparseArgs,
      ]),
      keys,
    );
    const slices = Math.ceil(keys / 4);
    const parts = as3d(run(attention.softmaxSlices, 2 * slices, tokens * heads, [scores, keys, 4]), 2 * slices);
    const where = [stored, recent, 6, firstKey, keys];
    const mixed = run(attention.attentionMix, heads * headDim, tokens, [
      scores,
      parts,
      ...where,
      slices,
      heads,
      2,
      headDim,
      width,
    ]);
    const totals = as3d(run(attention.softmaxTotals, 2, tokens * heads, [parts, slices]), 2);
    const weights = as3d(run(attention.softmaxWeights, keys, tokens * heads, [scores, totals]), keys);
    close(run(attention.mixValues, heads * headDim, tokens, [weights, ...where, heads, 2, headDim, width]), mixed);

    const expected: number[] = [];
    for (let token = 0; token < tokens; token++) {
      for (let head = 0; head < heads; head++) {
        const position = start + token;
        const keyStart = Math.floor(head / 2) * headDim;
        const seen = Array.from({ length }, (_, key) => key).filter((key) => {
          if (isCausal && key > position) return false;
          if (window > 0 && key <= position - window) return false;
          if (!sparse) return true;
          const [own, block] = [Math.floor(position / 2), Math.floor(key / 2)];
          return (
            own - block < sparse.numLocalBlocks || (block + head * sparse.headStep + 1) % sparse.verticalStride === 0
          );
        });
        const exponentials = seen.map((key) => {
          let score = 0;
          for (let i = 0; i < headDim; i++)
            score += queries[(token * heads + head) * headDim + i]! * rows[key * 2 * width + keyStart + i]!;
          return Math.exp(0.5 * score);
        });
        const total = exponentials.reduce((sum, value) => sum + value, 0);
        for (let i = 0; i < headDim; i++) {
          expected.push(
            seen.reduce(
              (sum, key, n) => sum + (exponentials[n]! / total) * rows[key * 2 * width + width + keyStart + i]!,
              0,
            ),
          );
        }
      }
    }
    close(mixed, expected);
  });
});

describe('experts', () => {
  it.each([
    [
      [2, 1, 0.5, 0.1],
      [0, 1, 1, 1],
    ],
    [
      [2, 1.98, 1, 0.99],
      [0, 0.505, 1, 1],
    ],
    [
      [1, 0.99, 0.985, 0.5],
      [0, 0.3361162, 1, 0.50125],
    ],
    [
      [-1, -1.01, -2, -3],
      [0, 0.5025, 1, 1],
    ],
    [
      [1, 1, 1, 0],
      [0, 1 / 3, 1, 0.5],
    ],
  ])('routeExperts of %j', (scores, expected) => {
    const got = run(experts.routeExperts, 4, 1, [as3d(scores, 4), 4, 0.01]);
    expectClose(got, expected, { absolute: 6e-6, reason: 'five to seven digits are given' });
  });

  it('gatherRows and addExpert', () => {
    const x = [1, 2, 3, 4, 5, 6];
    expect([...run(experts.gatherRows, 2, 2, [as3d(x, 2), as3d([2, 0], 2)])]).toEqual([5, 6, 1, 2]);
    const got = run(experts.addExpert, 2, 3, [
      as3d(x, 2),
      as3d([10, 20], 2),
      as3d([-1, 0, -1], 3),
      as3d([0, 0.5, 0], 3),
    ]);
    expect([...got]).toEqual([1, 2, 8, 14, 5, 6]);
  });
});

it('unfoldPatches', () => {
  // Two channels of 2 × 4 pixels, patches of 2.
  const pixels = Array.from({ length: 16 }, (_, i) => i);
  const got = run(patches.unfoldPatches, 8, 2, [as3d(pixels, 4), 2, 2, 2]);
  expect([...got]).toEqual([0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]);
});
