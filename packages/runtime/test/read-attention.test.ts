import type { FloatTensor, Operations } from '@phiblocks/tensor';
import { describe, expect, it } from 'vitest';
import { createLanguageModel, type Phi3AttentionInput, phi3SelfAttention, readAttention } from '../src/index.ts';
import { openTinyMember, type TinyMember } from './tiny-members.ts';

const ids = Array.from({ length: 75 }, (_, index) => (index * 37) % 290); // more than one chunk of 64

// The judge is the model itself: weights times the values in its cache are what its attention gave, for every member, with a
// window, with blocks of keys, and with heads that share keys.
const cases: [string, TinyMember, Record<string, unknown>][] = [
  ['phi3', 'phi3', {}],
  ['phi3 with a window', 'phi3', { sliding_window: 20 }],
  ['phi3small, layers of blocks and dense ones', 'phi3small', { dense_attention_every_n_layers: 2 }],
  ['phimoe', 'phimoe', {}],
  ['phi3_v', 'phi3_v', {}],
];

describe.each(cases)('%s', (_, member, config) => {
  it.each([0, 1])('weights times values are what layer %i attends to', async (layer) => {
    const model = await createLanguageModel(
      await openTinyMember(member, { config }),
      member === 'phi3_v' ? { numCrops: 1 } : {},
    );
    const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = model.config;
    const T = ids.length;
    const attended: FloatTensor[] = [];
    const session = model.createSession();
    await session.advance(ids, {
      onTensor: async (name, handle) => {
        if (name === `layers.${layer}.attention`) attended.push(await model.network.backend.read(handle));
      },
    });
    const expected = attended.flatMap(({ data }) => [...data]); // [T, H·D]
    session.dispose();
    const cache = model.network.createCache();
    await model.network.forward(Int32Array.from(ids), cache, { logits: 'none', factorList: 'none' });
    const { values } = await model.network.backend.readCache!(cache, layer); // [T, K·D]

    const { data: weights, shape } = await readAttention(model, ids, { layer });
    expect(shape).toEqual([H, T, T]);
    let largest = 0;
    for (let h = 0; h < H; h++) {
      for (let t = 0; t < T; t++) {
        const row = weights.subarray((h * T + t) * T, (h * T + t + 1) * T);
        expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
        expect(row.subarray(t + 1).every((weight) => weight === 0)).toBe(true);
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (let s = 0; s <= t; s++) sum += row[s]! * values.data[s * K * D + Math.floor(h / (H / K)) * D + d]!;
          largest = Math.max(largest, Math.abs(sum - expected[t * H * D + h * D + d]!));
        }
      }
    }
    // Weights are rounded to float32 before they are summed here, and not there: a few units of 2^-24 of values near 1.
    expect(largest).toBeLessThan(2e-6);

    const one = await readAttention(model, ids, { layer, head: 2 });
    expect(one.shape).toEqual([1, T, T]);
    expect(one.data).toEqual(weights.slice(2 * T * T, 3 * T * T));
    await model.dispose();
  });
});

it('asks for what is there, and says what is not', async () => {
  const model = await createLanguageModel(await openTinyMember('phi3'));
  await expect(readAttention(model, [1], { layer: 2 })).rejects.toMatchObject({ code: 'ARGUMENT' });
  await expect(readAttention(model, [1], { layer: 0, head: 4 })).rejects.toMatchObject({ code: 'ARGUMENT' });
  await expect(readAttention(model, [1], { layer: 0, haed: 4 } as never)).rejects.toMatchObject({
    code: 'OPTION_UNKNOWN',
  });
  await expect(readAttention(model, [1], { layer: 0, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'ABORTED',
  });
  await model.dispose();
  const other = await createLanguageModel(await openTinyMember('phi3'), {
    selfAttention: (ops: Operations, input: Phi3AttentionInput) =>
      phi3SelfAttention(ops, { ...input, observe: (_name, tensor) => tensor }),
  });
  await expect(readAttention(other, [1], { layer: 0 })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  await other.dispose();
});
