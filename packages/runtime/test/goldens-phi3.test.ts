import { readdirSync } from 'node:fs';
import type { FloatTensor } from '@phiblocks/tensor';
import { describeWithShared, expectClose, loadGolden, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { phi3InnerValues } from './golden-cases.ts';
import { loadGoldenModel, testedBackends, testLanguageCase, wasm } from './golden-runs.ts';

// Every published-layout case of Phi3ForCausalLM.

describeWithShared('golden cases of Phi3ForCausalLM', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) => name.startsWith('phi3-'));
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(7));
  for (const name of names) {
    const golden = loadGolden(name);
    describe.each(testedBackends)(`${name} on $name`, (backend) => testLanguageCase(golden, phi3InnerValues, backend));

    it(`${name}: the number of threads changes no bit`, async () => {
      const results: FloatTensor[] = [];
      const ids = golden.tensor(`${golden.description.runs![0]!.name}/input_ids`).data;
      for (const threads of [1, 2, 3]) {
        await using model = await loadGoldenModel(golden.path, wasm(threads).options);
        results.push(await model.createSession().advance(ids, { logits: 'all' }));
      }
      expect(results[1]).toEqual(results[0]);
      expect(results[2]).toEqual(results[0]);
    });
  }

  it('phi3-gqa4-a: each row of the left-padded batch gives its logits when it runs alone', async () => {
    const golden = loadGolden('phi3-gqa4-a');
    await using model = await loadGoldenModel(golden.path);
    const { data: ids, shape } = golden.tensor('batch/input_ids');
    const mask = golden.tensor('batch/attention_mask').data;
    const { data: expected, tolerance } = golden.tensor('batch/logits');
    const [rows, length] = shape as [number, number];
    const vocabSize = model.config.vocabSize;
    for (let row = 0; row < rows; row++) {
      const padding = mask.subarray(row * length, (row + 1) * length).indexOf(1);
      const session = model.createSession();
      const logits = await session.advance(ids.slice(row * length + padding, (row + 1) * length), { logits: 'all' });
      const from = (row * length + padding) * vocabSize;
      const wanted = expected.subarray(from, (row + 1) * length * vocabSize);
      expectClose(logits.data, wanted, { absolute: tolerance, reason: 'tolerance of case.json' }, `batch row ${row}`);
    }
  });
});
