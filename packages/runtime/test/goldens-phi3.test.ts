import { readdirSync } from 'node:fs';
import type { FloatTensor } from '@phiblocks/tensor';
import { argmax, describeWithShared, expectClose, type GoldenCase, loadGolden, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import type { LanguageModel, LanguageModelOptions } from '../src/index.ts';
import { loadModel } from '../src/node.ts';

// Every published-layout case of Phi3ForCausalLM, each element within the tolerance of its case.json: about 25 times the
// difference between float32 and float64 arithmetic, so that any order of summation fits and no mistake does. A backend
// whose sums run in float32 has twice that.

interface TestedBackend {
  name: string;
  options: LanguageModelOptions;
  toleranceFactor: number;
}

const wasm = (threads: number): TestedBackend => ({
  name: `wasm, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  options: { backend: 'wasm', threads, backendOptions: { activations: 'f32' } },
  toleranceFactor: 2,
});
const reference: TestedBackend = { name: 'reference', options: { backend: 'reference' }, toleranceFactor: 1 };
const backends = [reference, wasm(1), wasm(2)];

/** Collects intermediates of all chunks, one below the other. */
function createRecorder(model: LanguageModel) {
  const rows = new Map<string, number[]>();
  return {
    rows,
    onTensor: async (name: string, handle: Parameters<typeof model.network.backend.read>[0]) => {
      const { data } = await model.network.backend.read(handle);
      const list = rows.get(name) ?? [];
      for (const value of data) list.push(value);
      rows.set(name, list);
    },
  };
}

/** Sizes of the pieces in which a prompt is fed. */
const ways: Record<string, (length: number) => number[]> = {
  'the full prompt': (length) => [length],
  'token by token': (length) => Array(length).fill(1),
  'uneven chunks': (length) => {
    const sizes: number[] = [];
    for (let rest = length, size = 1; rest > 0; size = (size * 3 + 1) % 11 || 5) {
      sizes.push(Math.min(size, rest));
      rest -= Math.min(size, rest);
    }
    return sizes;
  },
};

function testCase(golden: () => GoldenCase, path: string, runs: string[], backend: TestedBackend): void {
  const loadGoldenModel = () => loadOn(backend, path);
  const reason = `${backend.toleranceFactor} times the tolerance of case.json`;
  const expectTensor = (name: string, actual: ArrayLike<number>): void => {
    const { data, tolerance } = golden().tensor(name);
    expectClose(actual, data, { absolute: backend.toleranceFactor * tolerance, reason }, name);
  };

  for (const run of runs) {
    describe(run, () => {
      for (const [way, sizesOf] of Object.entries(ways)) {
        it(`logits and hidden states, ${way}`, async () => {
          await using model = await loadGoldenModel();
          const ids = golden().tensor(`${run}/input_ids`).data;
          const { hiddenSize } = model.config;
          const recorder = createRecorder(model);
          const session = model.createSession({ prefillChunkSize: 512 });
          const logits: number[] = [];
          let start = 0;
          for (const size of sizesOf(ids.length)) {
            const { data } = await session.advance(ids.slice(start, start + size), {
              logits: 'all',
              sequenceLength: ids.length,
              onTensor: recorder.onTensor,
            });
            for (const value of data) logits.push(value);
            start += size;
          }
          expectTensor(`${run}/logits`, logits);

          const hidden = golden().tensor(`${run}/hidden_states`);
          const layers = hidden.shape[0]!;
          const size = ids.length * hiddenSize;
          for (let layer = 0; layer < layers; layer++) {
            const expected = hidden.data.subarray(layer * size, (layer + 1) * size);
            expectClose(
              recorder.rows.get(`hidden.${layer}`)!,
              expected,
              { absolute: backend.toleranceFactor * hidden.tolerance, reason },
              `${run}/hidden_states[${layer}]`,
            );
          }
          expectTensor(`${run}/final_norm`, recorder.rows.get('finalNorm')!);
          for (const [name, traced] of [
            ['layer0.input_layernorm', 'layers.0.inputLayernorm'],
            ['layer0.qkv_proj', 'layers.0.qkvProj'],
            ['layer0.attn_context', 'layers.0.attention'],
            ['layer0.o_proj', 'layers.0.oProj'],
            ['layer0.post_attention_layernorm', 'layers.0.postAttentionLayernorm'],
            ['layer0.mlp', 'layers.0.mlp'],
          ]) {
            if (golden().tensors.has(`${run}/${name}`)) {
              expectTensor(`${run}/${name}`, recorder.rows.get(traced!)!);
            }
          }
        });
      }

      it('16 greedy tokens and the logits that chose them', async () => {
        await using model = await loadGoldenModel();
        const ids = [...golden().tensor(`${run}/input_ids`).data];
        const expected = [...golden().tensor(`${run}/greedy_ids`).data];
        const session = model.createSession();
        let logits = await session.advance(ids);
        const chosen: number[] = [];
        const rows: number[] = [];
        while (chosen.length < expected.length) {
          for (const value of logits.data) rows.push(value);
          chosen.push(argmax(logits.data));
          if (chosen.length < expected.length) logits = await session.advance([chosen.at(-1)!]);
        }
        expect(chosen).toEqual(expected);
        expectTensor(`${run}/greedy_logits`, rows);
      });

      it('the same tokens through generate', async () => {
        await using model = await loadGoldenModel();
        const expected = [...golden().tensor(`${run}/greedy_ids`).data];
        const ids: number[] = [];
        const promptIds = [...golden().tensor(`${run}/input_ids`).data];
        for await (const item of model.generate({ promptIds, maxNewTokens: expected.length, ignoreEos: true })) {
          if (item.type === 'token') ids.push(item.id);
        }
        expect(ids).toEqual(expected);
      });
    });
  }
}

async function loadOn({ options }: TestedBackend, path: string): Promise<LanguageModel & AsyncDisposable> {
  const model = await loadModel(path, options);
  return Object.assign(model, { [Symbol.asyncDispose]: () => model.dispose() });
}

describeWithShared('golden cases of Phi3ForCausalLM', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) => name.startsWith('phi3-'));
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(7));
  for (const name of names) {
    const golden = loadGolden(name);
    const runs = golden.description.runs!.map((run) => run.name);
    describe.each(backends)(`${name} on $name`, (backend) => {
      testCase(() => golden, golden.path, runs, backend);
    });

    it(`${name}: the number of threads changes no bit`, async () => {
      const results: FloatTensor[] = [];
      for (const threads of [1, 2, 3]) {
        await using model = await loadOn(wasm(threads), golden.path);
        const ids = golden.tensor(`${runs[0]}/input_ids`).data;
        results.push(await model.createSession().advance(ids, { logits: 'all' }));
      }
      expect(results[1]).toEqual(results[0]);
      expect(results[2]).toEqual(results[0]);
    });
  }

  it('phi3-gqa4-a: each row of the left-padded batch gives its logits when it runs alone', async () => {
    const golden = loadGolden('phi3-gqa4-a');
    await using model = await loadOn(reference, golden.path);
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
