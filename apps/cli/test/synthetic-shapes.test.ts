import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  collect,
  phi3SmallTensorPlan,
  phi3TensorPlan,
  phi3VisionTensorPlan,
  phiMoeTensorPlan,
} from '@phiblocks/runtime';
import { loadModel } from '@phiblocks/runtime/node';
import { openGguf, parsePhi3Config } from '@phiblocks/weights';
import { openFileSource } from '@phiblocks/weights/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';
import { runMakeCheckpoint } from './run-make-checkpoint.ts';

const { shapes }: { shapes: ReadonlyMap<string, object> } = await import(
  new URL('../../../tools/synthetic/shapes.mjs', import.meta.url).href
);

/** Cut to two heads where there are groups of heads, to one where there are none. */
const members = [
  ['phi-3-mini', 'phi3', 16],
  ['phi-3-mini-128k', 'phi3', 16],
  ['phi-3-small', 'phi3small', 16],
  ['phi-3-small-128k', 'phi3small', 16],
  ['phi-3-medium', 'phi3', 20],
  ['phi-3-medium-128k', 'phi3', 20],
  ['phi-3-vision', 'phi3_v', 16],
  ['phi-3.5-mini', 'phi3', 16],
  ['phi-3.5-moe', 'phimoe', 16],
  ['phi-3.5-vision', 'phi3_v', 16],
] as const;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-shapes-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function firstTokens(path: string) {
  const model = await loadModel(path, { threads: 1 });
  try {
    const { ids } = await collect(model.generate({ promptIds: [1, 300, 301], maxNewTokens: 4, ignoreEos: true }));
    const { modelType, numHiddenLayers, ropeScaling, maxPositionEmbeddings } = model.config;
    return { ids, modelType, numHiddenLayers, isLong: ropeScaling !== undefined, maxPositionEmbeddings };
  } finally {
    await model.dispose();
  }
}

describe('the published shapes of tools/synthetic', () => {
  it.each([
    ['phi-3-mini', 3_821_079_552],
    ['phi-3.5-mini', 3_821_079_552],
    // Published are 4,146,621,440: with the last layer of the image encoder and the norm behind it, which nothing reads.
    ['phi-3-vision', 4_146_621_440 - 12_598_272],
  ])('%s has the published number of parameters', (name, parameters) => {
    const config = parsePhi3Config(new TextEncoder().encode(JSON.stringify(shapes.get(name))));
    const plan = config.modelType === 'phi3_v' ? phi3VisionTensorPlan(config) : phi3TensorPlan(config as never);
    expect(count(plan)).toBe(parameters);
  });

  it.each([
    ['phi-3-medium', 14.0],
    ['phi-3-small', 7.4],
    ['phi-3.5-moe', 41.9],
  ])('%s has about the published %d billion parameters', (name, billions) => {
    const config = parsePhi3Config(new TextEncoder().encode(JSON.stringify(shapes.get(name))));
    const plan =
      config.modelType === 'phi3small'
        ? phi3SmallTensorPlan(config)
        : config.modelType === 'phimoe'
          ? phiMoeTensorPlan(config)
          : phi3TensorPlan(config as never);
    expect(Math.abs(count(plan) / 1e9 - billions)).toBeLessThan(0.06);
  });

  it.each(members)('%s, cut small, loads and generates', async (shape, modelType, narrow) => {
    const cut = ['--layers', '2', '--narrow', String(narrow)];
    const directory = join(folder, shape);
    await runMakeCheckpoint(['--shape', shape, '--format', 'f32', '--out', directory, ...cut]);
    const made = await firstTokens(directory);
    expect(made).toMatchObject({ modelType, numHiddenLayers: 2 });
    expect(made.ids).toHaveLength(4);
    expect(made.isLong).toBe(made.maxPositionEmbeddings === 131072);
    const file = join(folder, `${shape}.gguf`);
    const asGguf = runMakeCheckpoint(['--shape', shape, '--format', 'f32', '--out', file, ...cut]);
    if (modelType === 'phi3small' || modelType === 'phi3_v') {
      await expect(asGguf).rejects.toThrow(/GGUF has no architecture for/);
    } else {
      await asGguf;
      expect(await firstTokens(file)).toEqual(made);
    }
    await rm(directory, { recursive: true });
  });

  it('a mixture of experts is quantized from a directory to GGUF, with the experts of a layer in one tensor', async () => {
    const cut = ['--layers', '1', '--narrow', '8'];
    const directory = join(folder, 'moe');
    await runMakeCheckpoint(['--shape', 'phi-3.5-moe', '--format', 'f16', '--out', directory, ...cut]);
    const same = join(folder, 'moe-f16.gguf');
    const f16 = await runCli(['quantize', '--model', directory, '--to', 'f16', '--out', same]);
    expect(f16.status, f16.stderr).toBe(0);
    const expected = await firstTokens(directory);
    expect(await firstTokens(same)).toEqual(expected);
    for (const source of [directory, same]) {
      const small = join(folder, 'moe-q4_0.gguf');
      const q4 = await runCli(['quantize', '--model', source, '--to', 'q4_0', '--out', small, '--force', '--json']);
      expect(q4.status, q4.stderr).toBe(0);
      const gguf = await openGguf(await openFileSource(small));
      expect(gguf.tensors.get('blk.0.ffn_gate_exps.weight')).toMatchObject({ format: 'Q4_0', shape: [16, 800, 512] });
      expect(gguf.tensors.get('blk.0.ffn_gate_inp.weight')).toMatchObject({ format: 'F32' });
      await gguf.close();
      expect((await firstTokens(small)).ids).toHaveLength(4);
    }
  });

  it.each([
    [['--layers', '33'], /--layers must be a whole number from 1 to 32/],
    [['--narrow', '5'], /--narrow must divide/],
  ])('%j is an error', async (more, message) => {
    const out = join(folder, 'x');
    await expect(
      runMakeCheckpoint(['--shape', 'phi-3-mini', '--format', 'f16', '--out', out, ...more]),
    ).rejects.toThrow(message);
  });
});

function count(plan: ReadonlyMap<string, readonly number[]>): number {
  let sum = 0;
  for (const shape of plan.values()) sum += shape.reduce((product, size) => product * size, 1);
  return sum;
}
