import { describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { doubled, languageCases, rotaryConfigOf, runsOf } from '../test/golden-config.ts';
import type { RotaryConfig } from './config.ts';
import { createRotaryTable } from './rotary-table.ts';

const scaled: RotaryConfig = {
  headDim: 8,
  ropeTheta: 10000,
  maxPositionEmbeddings: 131072,
  originalMaxPositionEmbeddings: 4096,
  ropeScaling: { type: 'longrope', shortFactor: [1, 1, 1, 1], longFactor: [1.5, 2, 8, 32] },
};
const plain: RotaryConfig = { headDim: 8, ropeTheta: 10000, maxPositionEmbeddings: 4096 };

// The definition in float64; returns [cos, sin] of pair i at a position.
function definition(position: number, i: number, dimension: number, factor: number, attention: number): number[] {
  const angle = position / (factor * 10000 ** ((2 * i) / dimension));
  return [Math.cos(angle) * attention, Math.sin(angle) * attention];
}

describe('createRotaryTable', () => {
  it('is the definition, up to the float32 rounding of the angle', () => {
    const positions = Int32Array.of(0, 1, 2, 100, 4095, 131071);
    const { cos, sin } = createRotaryTable(scaled, { positions, list: 'long' });
    expect(cos.shape).toEqual([6, 4]);
    const attention = Math.sqrt(17 / 12);
    for (const [t, position] of positions.entries()) {
      // A frequency and the angle are rounded: the angle is off by up to about 17 halves of a unit in the last place,
      // angle · 17 · 2^-24 (see inverse-frequencies.test.ts), and its cosine, times 1.19, by no more than 1.19 of that.
      for (let i = 0; i < 4; i++) {
        const [c, s] = definition(position, i, 8, [1.5, 2, 8, 32][i]!, attention);
        const tolerance = { absolute: 1.2 * (position / 1.5) * 18 * 2 ** -24 + 2e-7, reason: 'float32 angle' };
        expectClose([cos.data[4 * t + i]!], [c!], tolerance, `cos at ${position}`);
        expectClose([sin.data[4 * t + i]!], [s!], tolerance, `sin at ${position}`);
      }
    }
  });

  it('by hand: position 0 does not turn, pair 0 turns by one radian per position', () => {
    const { cos, sin } = createRotaryTable(plain, { start: 0, length: 3 });
    expect([...cos.data.subarray(0, 4)]).toEqual([1, 1, 1, 1]);
    expect([...sin.data.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    expect(cos.data[8]).toBe(Math.fround(Math.cos(2)));
    expect(sin.data[8]).toBe(Math.fround(Math.sin(2)));
  });

  it('factors of one and no extension give plain RoPE, bit by bit', () => {
    const ones = { ...scaled, maxPositionEmbeddings: 4096 };
    expect(createRotaryTable(ones, { start: 0, length: 50, list: 'short' })).toEqual(
      createRotaryTable(plain, { start: 0, length: 50 }),
    );
    expect(createRotaryTable(scaled, { start: 0, length: 50, list: 'none' })).toEqual(
      createRotaryTable(plain, { start: 0, length: 50, list: 'none' }),
    );
  });

  it('a row depends on its position only, however the positions are given', () => {
    fc.assert(
      fc.property(fc.nat(200000), fc.integer({ min: 1, max: 20 }), fc.nat(19), (start, length, pick) => {
        const row = pick % length;
        const whole = createRotaryTable(scaled, { start, length, list: 'long' });
        const one = createRotaryTable(scaled, { positions: Int32Array.of(start + row), list: 'long' });
        expect(whole.cos.data.subarray(4 * row, 4 * row + 4)).toEqual(one.cos.data);
        expect(whole.sin.data.subarray(4 * row, 4 * row + 4)).toEqual(one.sin.data);
      }),
      { seed: 3, numRuns: 50 },
    );
  });

  it('cos² + sin² is the square of the attention factor, at every position and with either list', () => {
    for (const list of ['short', 'long'] as const) {
      const { cos, sin } = createRotaryTable(scaled, { start: 4000, length: 200, list });
      const squares = cos.data.map((c, i) => c * c + sin.data[i]! * sin.data[i]!);
      const reason = 'three roundings to float32 of numbers up to 1.42';
      expectClose(squares, new Float32Array(800).fill(17 / 12), { absolute: 5e-7, reason });
    }
  });

  it('ropePositionScale multiplies the positions', () => {
    const halved = createRotaryTable({ ...plain, ropePositionScale: 0.5 }, { positions: Int32Array.of(2, 80) });
    expect(halved).toEqual(createRotaryTable(plain, { positions: Int32Array.of(1, 40) }));
  });

  it('no positions give an empty table', () => {
    expect(createRotaryTable(plain, { start: 5, length: 0 }).cos.shape).toEqual([0, 4]);
  });

  it('rejects a missing list, a list too many, and positions that are none', () => {
    const code = (name: string) => expect.objectContaining({ code: name, function: 'createRotaryTable' });
    expect(() => createRotaryTable(scaled, { start: 0, length: 1 })).toThrow(code('LR_LIST_MISSING'));
    expect(() => createRotaryTable(plain, { start: 0, length: 1, list: 'long' })).toThrow(
      expect.objectContaining({ code: 'LR_NO_FACTORS' }),
    );
    for (const positions of [Int32Array.of(0, -1), Int32Array.of(2 ** 24), [0] as never]) {
      expect(() => createRotaryTable(plain, { positions })).toThrow(code('ARGUMENT'));
    }
    for (const [start, length] of [
      [-1, 1],
      [0.5, 1],
      [0, Number.NaN],
      [0, 2 ** 40],
      [2 ** 24 - 1, 2],
      [undefined, 3],
      [3, undefined],
      [undefined, undefined],
    ]) {
      expect(() => createRotaryTable(plain, { start, length } as never)).toThrow(code('ARGUMENT'));
    }
    const both = { start: 0, length: 1, positions: Int32Array.of(0) };
    expect(() => createRotaryTable(plain, both as never)).toThrow(code('ARGUMENT'));
    expect(() => createRotaryTable(plain, { start: 0, count: 1 } as never)).toThrow(code('OPTION_UNKNOWN'));
  });
});

for (const name of ['block-rope-mini128k-a', 'block-rope-moe-a']) {
  describeWithShared(`published factors, ${name}`, `goldens/${name}`, () => {
    const golden = loadGolden(name);
    const config = rotaryConfigOf(golden.config!);
    for (const run of golden.description.runs!) {
      it(`${run.name}: cos and sin, element by element`, () => {
        const positions = golden.tensor(`${run.name}/positions`).data as Int32Array;
        const table = createRotaryTable(config, { positions, list: run.branch as 'short' | 'long' });
        for (const part of ['cos', 'sin'] as const) {
          const expected = golden.tensor(`${run.name}/${part}`);
          const actual = doubled(table[part].data, config.headDim / 2);
          expectClose(actual, expected.data, { absolute: expected.tolerance, reason: 'stated by the case' }, part);
          // A frequency may differ in its last place from the power function of another library, and then so does the
          // angle: at 131071 by 2^-7, for a pair whose frequency is near 1; the frequencies that differ are far smaller.
          const reason = 'one unit in the last place of one small frequency';
          expectClose(actual, expected.data, { absolute: 1e-5, reason }, part);
        }
      });
    }
  });
}

describeWithShared('tables of every golden prompt', 'goldens', () => {
  for (const name of languageCases) {
    it(name, () => {
      const golden = loadGolden(name);
      const config = rotaryConfigOf(golden.config!);
      for (const run of runsOf(golden)) {
        const table = createRotaryTable(config, { start: 0, length: run.length, list: run.list });
        for (const part of ['cos', 'sin'] as const) {
          const expected = golden.tensor(`${run.name}/rope_${part}`);
          const tolerance = { absolute: expected.tolerance, reason: 'stated by the case' };
          expectClose(doubled(table[part].data, table[part].shape[1]!), expected.data, tolerance, expected.name);
        }
      }
    });
  }
});
