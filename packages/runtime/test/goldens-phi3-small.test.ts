import { readdirSync } from 'node:fs';
import { describeWithShared, loadGolden, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { gateUpOrder, type LanguageModel, queryKeyValueOrder } from '../src/index.ts';
import { headsFirst, type InnerValue, reference, testLanguageCase, wasm } from './golden-runs.ts';

// Every published-layout case of Phi3SmallForCausalLM.

/** Columns sorted at load, back in the order of the checkpoint. */
function inCheckpointOrder(orderOf: (config: never) => Int32Array): NonNullable<InnerValue['reorder']> {
  return (rows, model: LanguageModel) => {
    const order = orderOf(model.config as never);
    const out = new Float32Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const column = i % order.length;
      out[i - column + order[column]!] = rows[i]!;
    }
    return out;
  };
}

const innerValues: Record<string, InnerValue> = {
  'layer0.input_layernorm': { traced: 'layers.0.inputLayernorm' },
  'layer0.query_key_value': { traced: 'layers.0.queryKeyValue', reorder: inCheckpointOrder(queryKeyValueOrder) },
  'layer0.q_rot': { traced: 'layers.0.queries', reorder: headsFirst },
  'layer0.k_rot': { traced: 'layers.0.keys', reorder: headsFirst },
  'layer0.attn_context': { traced: 'layers.0.attention' },
  'layer0.dense': { traced: 'layers.0.dense' },
  'layer0.up_proj': { traced: 'layers.0.upProj', reorder: inCheckpointOrder(gateUpOrder) },
  'layer0.gegelu': { traced: 'layers.0.gegelu' },
  'layer0.mlp': { traced: 'layers.0.mlp' },
};

describeWithShared('golden cases of Phi3SmallForCausalLM', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) => name.startsWith('phi3small-'));
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(5));
  for (const name of names) {
    describe.each([reference, wasm(2)])(`${name} on $name`, (backend) => {
      testLanguageCase(loadGolden(name), innerValues, backend);
    });
  }
});
