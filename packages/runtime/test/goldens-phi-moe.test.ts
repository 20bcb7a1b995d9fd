import { readdirSync } from 'node:fs';
import { describeWithShared, expectClose, type GoldenCase, loadGolden, sharedPath } from '@phiblocks/testing';
import { openSafetensorsDirectory } from '@phiblocks/weights/node';
import { describe, expect, it } from 'vitest';
import { phiMoeInnerValues, ways } from './golden-cases.ts';
import { loadGoldenModel, reference, testLanguageCase, wasm } from './golden-runs.ts';

// Every published-layout case of PhiMoEForCausalLM, with all experts loaded and with experts read on demand.

/** The routing of every layer against the case, fed in a given way. */
async function testRouting(golden: GoldenCase, run: string, sizes: (length: number) => number[]): Promise<void> {
  await using model = await loadGoldenModel(golden.path);
  const ids = golden.tensor(`${run}/input_ids`).data;
  const { numHiddenLayers, hiddenSize } = model.config;
  const experts: number[][] = Array.from({ length: numHiddenLayers }, () => []);
  const weights: number[][] = Array.from({ length: numHiddenLayers }, () => []);
  const inputs: number[][] = Array.from({ length: numHiddenLayers }, () => []);
  const session = model.createSession();
  let start = 0;
  for (const size of sizes(ids.length)) {
    await session.advance(ids.slice(start, start + size), {
      sequenceLength: ids.length,
      onTensor: async (name, handle) => {
        const layer = /^layers\.(\d+)\.postAttentionLayernorm$/.exec(name)?.[1];
        if (layer === undefined) return;
        for (const value of (await model.network.backend.read(handle)).data) inputs[Number(layer)]!.push(value);
      },
      onRouting: async (name, routing) => {
        const layer = Number(name.split('.')[1]);
        const read = await model.network.backend.readRouting(routing);
        experts[layer]!.push(...read.expertIds);
        weights[layer]!.push(...read.weights);
      },
    });
    start += size;
  }
  expect(experts.flat()).toEqual([...golden.tensor(`${run}/router_experts`).data]);
  const tolerance = (name: string) => ({
    absolute: golden.tensor(`${run}/${name}`).tolerance,
    reason: 'tolerance of case.json',
  });
  expectClose(weights.flat(), golden.tensor(`${run}/router_weights`).data, tolerance('router_weights'));

  // The scores stay inside the routing; what they are made of does not.
  const source = await openSafetensorsDirectory(golden.path);
  const scores: number[] = [];
  for (const [layer, rows] of inputs.entries()) {
    const { data: gate } = await source.readFloats(`model.layers.${layer}.block_sparse_moe.gate.weight`);
    for (let token = 0; token < ids.length; token++) {
      for (let expert = 0; expert * hiddenSize < gate.length; expert++) {
        let score = 0;
        for (let i = 0; i < hiddenSize; i++) score += rows[token * hiddenSize + i]! * gate[expert * hiddenSize + i]!;
        scores.push(score);
      }
    }
  }
  await source.close();
  expectClose(scores, golden.tensor(`${run}/router_logits`).data, tolerance('router_logits'));
}

describeWithShared('golden cases of PhiMoEForCausalLM', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) => name.startsWith('phimoe-'));
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(4));
  for (const name of names) {
    const golden = loadGolden(name);
    describe(name, () => {
      testLanguageCase(golden, phiMoeInnerValues);
      for (const { name: run } of golden.description.runs!) {
        for (const [way, sizesOf] of Object.entries(ways)) {
          it(`${run}: the routing of every layer, ${way}`, () => testRouting(golden, run, sizesOf));
        }
      }
    });
    describe(`${name} on WebAssembly`, () => testLanguageCase(golden, phiMoeInnerValues, wasm(2)));
    // Room for three experts of the smallest case: most are read again and again.
    describe(`${name}, experts on demand`, () => {
      const options = { ...reference.options, expertsOnDemand: true, expertCacheInBytes: 100_000 };
      testLanguageCase(golden, phiMoeInnerValues, { ...reference, options });
    });
  }
});
