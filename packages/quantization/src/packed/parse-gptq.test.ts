import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { type GptqLayer, parseGptq } from './parse-gptq.ts';

/** Eight 4-bit (or four 8-bit, sixteen 2-bit) consecutive numbers per word, low bits first. */
function packWord(values: number[], bits: number): number {
  return values.reduce((sum, value, k) => sum + value * 2 ** (bits * k), 0) | 0;
}

function randomLayer(seed: number, bits: number, groupSize: number, inputs: number, outputs: number) {
  const random = createSeededRandom(seed);
  const perWord = 32 / bits;
  const size = groupSize === -1 ? inputs : groupSize;
  const groups = Math.ceil(inputs / size);
  const codes = Array.from({ length: inputs }, () => Array.from({ length: outputs }, () => random.integer(2 ** bits)));
  const stored = Array.from({ length: groups }, () => Array.from({ length: outputs }, () => random.integer(2 ** bits)));
  const qweight = [];
  for (let i = 0; i < inputs; i += perWord) {
    for (let o = 0; o < outputs; o++)
      qweight.push(
        packWord(
          codes.slice(i, i + perWord).map((row) => row[o]!),
          bits,
        ),
      );
  }
  const qzeros = [];
  for (const row of stored) {
    for (let o = 0; o < outputs; o += perWord) qzeros.push(packWord(row.slice(o, o + perWord), bits));
  }
  const layer: GptqLayer = {
    qweight: { data: Int32Array.from(qweight), shape: [inputs / perWord, outputs] },
    qzeros: { data: Int32Array.from(qzeros), shape: [groups, outputs / perWord] },
    scales: { data: random.normals(groups * outputs), shape: [groups, outputs] },
    bits,
    groupSize,
  };
  return { layer, codes, stored, random, groups, size };
}

describe('parseGptq', () => {
  it.each([
    [4, 16, 64, 24],
    [4, 48, 64, 8],
    [4, -1, 32, 16],
    [8, 16, 32, 12],
    [2, 32, 64, 32],
  ])('the definition: %i bits, groups of %i, [%i, %i]', (bits, groupSize, inputs, outputs) => {
    const { layer, codes, stored, random, groups, size } = randomLayer(91, bits, groupSize, inputs, outputs);
    const shuffled = Int32Array.from({ length: inputs }, () => random.integer(groups));
    for (const gIdx of [undefined, { data: shuffled, shape: [inputs] }]) {
      for (const checkpointFormat of ['gptq', 'gptq_v2'] as const) {
        const matrix = parseGptq({ ...layer, gIdx, checkpointFormat });
        expect(matrix.shape).toEqual([outputs, inputs]);
        const row = new Float32Array(inputs);
        for (let o = 0; o < outputs; o++) {
          matrix.dequantizeRow(o, row);
          for (let i = 0; i < inputs; i++) {
            const group = gIdx === undefined ? Math.floor(i / size) : shuffled[i]!;
            const zero = (stored[group]![o]! + (checkpointFormat === 'gptq' ? 1 : 0)) % 2 ** bits;
            expect(row[i]).toBe(Math.fround((codes[i]![o]! - zero) * layer.scales.data[group * outputs + o]!));
          }
        }
      }
    }
  });

  it('by hand: a stored zero of 15 is zero 0', () => {
    const matrix = parseGptq({
      qweight: { data: new Int32Array(8).fill(-1), shape: [1, 8] },
      qzeros: { data: Int32Array.of(-1), shape: [1, 1] },
      scales: { data: new Float32Array(8).fill(0.5), shape: [1, 8] },
      bits: 4,
      groupSize: 128,
    });
    const row = new Float32Array(8);
    matrix.dequantizeRow(3, row);
    expect([...row]).toEqual(new Array(8).fill(7.5));
  });
});

describe('errors', () => {
  const { layer } = randomLayer(92, 4, 16, 64, 24);
  const change = (part: object) => () => parseGptq({ ...layer, ...part });

  it('shapes that do not belong together', () => {
    expect(change({ qweight: { data: new Int32Array(80), shape: [8, 10] } })).toThrow(
      'SHAPE parseGptq(qweight): expected a multiple of 8 outputs, got [8, 10]',
    );
    expect(change({ groupSize: 32 })).toThrow('SHAPE parseGptq(scales): expected shape [2, 24], got [4, 24]');
    expect(change({ qzeros: { data: new Int32Array(4), shape: [4, 1] } })).toThrow(
      'SHAPE parseGptq(qzeros): expected shape [4, 3], got [4, 1]',
    );
    expect(change({ gIdx: { data: new Int32Array(63), shape: [63] } })).toThrow(
      'SHAPE parseGptq(gIdx): expected shape [64], got [63]',
    );
  });

  it('groups that do not exist', () => {
    for (const bad of [-1, 4]) {
      const data = new Int32Array(64);
      data[9] = bad;
      expect(change({ gIdx: { data, shape: [64] } })).toThrow(
        `PACKED_LAYOUT parseGptq(gIdx): expected groups from 0 to 3, got ${bad} (key [9])`,
      );
    }
  });

  it('scales that are not finite', () => {
    const data = layer.scales.data.slice();
    data[0] = Number.POSITIVE_INFINITY;
    expect(change({ scales: { data, shape: [4, 24] } })).toThrow(/^PACKED_LAYOUT parseGptq\(scales\)/);
  });

  it('bits, groups and formats', () => {
    expect(change({ bits: 3 })).toThrow(
      'UNSUPPORTED parseGptq(bits): expected 2, 4 or 8, got 3. Three-bit codes straddle words.',
    );
    for (const bits of [0, 5, 16, Number.NaN]) expect(change({ bits })).toThrow(/^ARGUMENT parseGptq\(bits\)/);
    for (const groupSize of [0, -2, 1.5]) expect(change({ groupSize })).toThrow(/^ARGUMENT parseGptq\(groupSize\)/);
    expect(change({ checkpointFormat: 'marlin' })).toThrow(/^UNSUPPORTED parseGptq\(checkpointFormat\)/);
    expect(change({ g_idx: 0 })).toThrow(/^OPTION_UNKNOWN parseGptq\(g_idx\)/);
  });
});
