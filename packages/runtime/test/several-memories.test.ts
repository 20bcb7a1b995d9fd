import { describe, expect, it } from 'vitest';
import { chooseBackend, collect, createLanguageModel, type LanguageModelOptions } from '../src/index.ts';
import { planMemory } from '../src/plan-memory.ts';
import { openTinyCheckpoint } from './tiny-checkpoint.ts';
import { openTinyMember } from './tiny-members.ts';

// A model above what one WebAssembly memory holds. Memories are made small here, so that a model of 21 MB needs several.

/** 10.5 MB of matrices in each layer. */
const larger = {
  hidden_size: 512,
  intermediate_size: 1024,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  max_position_embeddings: 128,
  original_max_position_embeddings: 128,
};
const smallMemories = { memorySizeInBytes: 12 * 2 ** 20 };

async function run(backendOptions: LanguageModelOptions['backendOptions']) {
  const options: LanguageModelOptions = { backend: 'auto', threads: 2, backendOptions };
  const model = await createLanguageModel(await openTinyCheckpoint(larger), options);
  const session = model.createSession();
  const { data } = await session.advance(
    Array.from({ length: 70 }, (_, i) => 3 + ((i * 37) % 290)),
    { logits: 'all' },
  );
  const { ids } = await collect(model.generate({ promptIds: [1, 40, 41, 42], maxNewTokens: 8, ignoreEos: true }));
  const { notes } = model.backendReport();
  await model.dispose();
  return { data, ids, notes: notes.join(' ') };
}

describe('a model that one memory does not hold', () => {
  it('gets several, says so, and gives the bits of one', async () => {
    const one = await run({});
    expect(one.notes).not.toMatch(/memories/);
    const several = await run(smallMemories);
    expect(several.notes).toMatch(/Weights lie in [34] memories, chosen for the 0\.02\d+ GB that they take\./);
    expect(several.ids).toEqual(one.ids);
    expect(several.data).toEqual(one.data);
    const asked = await run({ memories: 2 });
    expect(asked.notes).toMatch(/Weights lie in 2 memories\./);
    expect(asked.data).toEqual(one.data);
  });

  it('without a plan ends in OOM with the way out', async () => {
    const insisted = { ...smallMemories, memories: 1 };
    await expect(run(insisted)).rejects.toMatchObject({ code: 'OOM', hint: expect.stringContaining('memories') });
  });

  it('beyond eight memories is refused before anything is loaded', async () => {
    const checkpoint = await openTinyCheckpoint({ ...larger, num_hidden_layers: 3 });
    const options = { backend: 'wasm', threads: 1, backendOptions: { memorySizeInBytes: 2 ** 23 } } as const;
    await expect(createLanguageModel(checkpoint, options)).rejects.toMatchObject({
      code: 'OOM',
      argument: 'options.plan',
    });
  });

  it('a plan beside a number of memories is an error', async () => {
    const backendOptions = { memories: 2, plan: { weights: [] } };
    await expect(chooseBackend({ backend: 'wasm', backendOptions })).rejects.toMatchObject({ code: 'ARGUMENT' });
  });
});

describe('the plan of a checkpoint', () => {
  it('has its matrices, and room for its cache up to a limit', async () => {
    const checkpoint = await openTinyCheckpoint(larger);
    const plan = planMemory({ checkpoint }, 'f16');
    expect(plan.weights).toContainEqual({ format: 'F32', shape: [2048, 512] });
    expect(plan.weights).toHaveLength(2 + 2 * 4);
    // 128 positions × 2 layers × keys and values of 512 × 2 bytes, and what results take.
    expect(plan.roomInBytes).toBe(128 * 2 * 2 * 512 * 2 + 2 ** 27);
    const long = { ...checkpoint.config, maxPositionEmbeddings: 2 ** 20 };
    expect(planMemory({ checkpoint: { ...checkpoint, config: long } }).roomInBytes).toBe(7 * 2 ** 28);
  });

  it('counts experts on demand as what is kept of them, at least those of one layer', async () => {
    const checkpoint = await openTinyMember('phimoe');
    const all = planMemory({ checkpoint });
    expect(all.otherWeightsInBytes).toBe(0);
    const sizeOf = (name: string) => checkpoint.weights.tensors.get(name)!.sizeInBytes;
    const experts = [...checkpoint.weights.tensors.keys()].filter((name) => name.includes('.experts.'));
    const total = experts.reduce((sum, name) => sum + sizeOf(name), 0);
    const layers = checkpoint.config.numHiddenLayers;
    const demand = planMemory({ checkpoint, expertsOnDemand: true });
    expect(demand.otherWeightsInBytes).toBe(total);
    expect(demand.weights.length + experts.length).toBe(all.weights.length);
    expect(planMemory({ checkpoint, expertsOnDemand: true, expertCacheInBytes: 1 }).otherWeightsInBytes).toBe(
      total / layers,
    );
  });
});
