import { describe, expect, it } from 'vitest';
import { type Checkpoint, collect, createLanguageModel, createReferenceBackend } from '../src/index.ts';
import { openTinyMember } from './tiny-members.ts';

/** Counts how often each expert is read, and can fail at it. */
function watched(checkpoint: Checkpoint, fail: (name: string) => boolean = () => false) {
  const reads = new Map<string, number>();
  const { weights } = checkpoint;
  const watching: Checkpoint = {
    ...checkpoint,
    weights: {
      ...weights,
      tensors: weights.tensors,
      warnings: weights.warnings,
      readFloats: (name) => weights.readFloats(name),
      async readMatrix(name) {
        const expert = /layers\.\d+\.block_sparse_moe\.experts\.\d+/.exec(name)?.[0];
        if (expert) reads.set(expert, (reads.get(expert) ?? 0) + 1 / 3);
        if (fail(name)) throw new Error('the disk is gone');
        return weights.readMatrix(name);
      },
    },
  };
  return { checkpoint: watching, reads };
}

const promptIds = [1, 40, 41];
// w1, w2 and w3 of 32 × 32 float32.
const expertInBytes = 3 * 32 * 32 * 4;

describe('experts on demand', () => {
  it('gives the tokens of a model that is wholly loaded, whatever the cache holds', async () => {
    const whole = await createLanguageModel(await openTinyMember('phimoe'));
    const expected = await collect(whole.generate({ promptIds, maxNewTokens: 12, ignoreEos: true }));
    for (const expertCacheInBytes of [0, 3 * expertInBytes, undefined]) {
      const model = await createLanguageModel(await openTinyMember('phimoe'), {
        expertsOnDemand: true,
        expertCacheInBytes,
      });
      const end = await collect(model.generate({ promptIds, maxNewTokens: 12, ignoreEos: true }));
      expect(end.ids).toEqual(expected.ids);
    }
  });

  it('reads nothing that no token chose, and what is kept only once', async () => {
    const { checkpoint, reads } = watched(await openTinyMember('phimoe'));
    const model = await createLanguageModel(checkpoint, { expertsOnDemand: true });
    expect(reads.size).toBe(0);
    const session = model.createSession();
    const chosen = new Set<string>();
    const onRouting = async (name: string, routing: Parameters<typeof model.network.backend.readRouting>[0]) => {
      const { expertIds } = await model.network.backend.readRouting(routing);
      const layer = name.replace('.routing', '.block_sparse_moe');
      for (const expert of expertIds) chosen.add(`${layer}.experts.${expert}`);
    };
    for (const id of promptIds) await session.advance([id], { onRouting });
    expect([...reads.keys()].sort()).toEqual([...chosen].sort());
    expect(reads.size).toBeLessThan(16);
    for (const count of reads.values()) expect(count).toBeCloseTo(1);
  });

  it('holds no more than the cache allows, or than one layer needs at once', async () => {
    const backend = createReferenceBackend();
    const { checkpoint, reads } = watched(await openTinyMember('phimoe'));
    const model = await createLanguageModel(checkpoint, {
      backend,
      expertsOnDemand: true,
      expertCacheInBytes: 3 * expertInBytes,
    });
    const without = backend.liveHandles();
    const session = model.createSession();
    for (const id of [1, 40, 41, 42, 43, 44, 45, 46]) {
      await session.advance([id]);
      // The cache of keys and values is the one handle more; an expert is three.
      expect(backend.liveHandles() - without - 1).toBeLessThanOrEqual(3 * 3);
    }
    expect(Math.max(...reads.values())).toBeGreaterThan(1.5); // some were read again: the bound really acts
    session.dispose();
    await model.dispose();
    expect(backend.liveHandles()).toBe(0);
  });

  it('two sessions in turn do not take experts from each other', async () => {
    const options = { expertsOnDemand: true, expertCacheInBytes: 0 };
    const model = await createLanguageModel(await openTinyMember('phimoe'), options);
    const prompts = [promptIds, [1, 99, 98, 97, 96]];
    const alone: number[][] = [];
    for (const ids of prompts) {
      alone.push((await collect(model.generate({ promptIds: ids, maxNewTokens: 8, ignoreEos: true }))).ids as number[]);
    }
    const together = await Promise.all(
      prompts.map((ids) => collect(model.generate({ promptIds: ids, maxNewTokens: 8, ignoreEos: true }))),
    );
    expect(together.map((end) => end.ids)).toEqual(alone);
  });

  it('a failed read is an error, leaves nothing behind, and is tried again', async () => {
    let broken = true;
    const { checkpoint } = watched(await openTinyMember('phimoe'), (name) => broken && name.includes('experts'));
    const backend = createReferenceBackend();
    const model = await createLanguageModel(checkpoint, { backend, expertsOnDemand: true });
    const session = model.createSession();
    const before = backend.liveHandles();
    await expect(session.advance(promptIds)).rejects.toThrow('the disk is gone');
    expect(backend.liveHandles()).toBe(before);
    expect(session.ids).toEqual([]);
    broken = false;
    expect((await session.advance(promptIds)).shape).toEqual([1, 300]);
  });

  it('a checkpoint without some expert is an error before anything is read', async () => {
    const without = (name: string) => name.includes('layers.1.block_sparse_moe.experts.5.');
    for (const expertsOnDemand of [false, true]) {
      await expect(
        createLanguageModel(await openTinyMember('phimoe', { without }), { expertsOnDemand }),
      ).rejects.toMatchObject({ code: 'MODEL_TENSOR_MISSING' });
    }
  });

  it.each([
    ['a cache without expertsOnDemand', 'phimoe', { expertCacheInBytes: 5 }],
    ['a cache of less than nothing', 'phimoe', { expertsOnDemand: true, expertCacheInBytes: -1 }],
    ['experts where the model has none', 'phi3', { expertsOnDemand: true }],
  ] as const)('%s is an error', async (_, member, options) => {
    await expect(createLanguageModel(await openTinyMember(member), options)).rejects.toMatchObject({
      code: 'ARGUMENT',
    });
  });

  it('runExperts without a chosen expert is an error', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const x = step.upload({ data: Float32Array.of(1, 2), shape: [1, 2] });
    const gate = { format: 'F32', shape: [2, 2], bytes: new Uint8Array(16), dequantizeRow: () => {} } as const;
    const routing = step.routeExperts(x, backend.uploadWeight(gate), { expertsPerToken: 1, jitterEpsilon: 0 });
    expect(() => step.runExperts(x, routing, [undefined, undefined])).toThrow(/^EXPERT_MISSING runExperts/);
  });
});
