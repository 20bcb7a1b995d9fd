import { argmax, expectClose, type GoldenCase } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { gateUpOrder, type LanguageModel, queryKeyValueOrder } from '../src/index.ts';

// What the tests of every golden case share. Each element must lie within the tolerance of its case.json: about 25 times the
// difference between float32 and float64 arithmetic, so that any order of summation fits and no mistake does. A backend whose
// sums run in float32 has twice that.
// Nothing here reads a file, so that the same tests run in a browser.

/** Collects intermediates of all chunks, one below the other. */
export function createRecorder(model: LanguageModel) {
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
export const ways: Readonly<Record<string, (length: number) => number[]>> = {
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

/** An inner value of a case: what `onTensor` calls it, and how its columns are put into the order of the golden. */
export interface InnerValue {
  readonly traced: string;
  readonly reorder?: (rows: readonly number[], model: LanguageModel, numTokens: number) => ArrayLike<number>;
}

/** `[T, heads · D]` as `[heads, T, D]`, as goldens keep rotated queries and keys. */
export function headsFirst(rows: readonly number[], model: LanguageModel, numTokens: number): Float32Array {
  const { headDim } = model.config;
  const width = rows.length / numTokens;
  const out = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const token = Math.floor(i / width);
    const head = Math.floor((i % width) / headDim);
    out[(head * numTokens + token) * headDim + (i % headDim)] = rows[i]!;
  }
  return out;
}

export const phi3InnerValues: Record<string, InnerValue> = {
  'layer0.input_layernorm': { traced: 'layers.0.inputLayernorm' },
  'layer0.qkv_proj': { traced: 'layers.0.qkvProj' },
  'layer0.q_rot': { traced: 'layers.0.queries', reorder: headsFirst },
  'layer0.k_rot': { traced: 'layers.0.keys', reorder: headsFirst },
  'layer0.attn_context': { traced: 'layers.0.attention' },
  'layer0.o_proj': { traced: 'layers.0.oProj' },
  'layer0.post_attention_layernorm': { traced: 'layers.0.postAttentionLayernorm' },
  'layer0.mlp': { traced: 'layers.0.mlp' },
};

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

export const phi3SmallInnerValues: Record<string, InnerValue> = {
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

export const phiMoeInnerValues: Record<string, InnerValue> = {
  'layer0.input_layernorm': { traced: 'layers.0.inputLayernorm' },
  'layer0.q_rot': { traced: 'layers.0.queries', reorder: headsFirst },
  'layer0.k_rot': { traced: 'layers.0.keys', reorder: headsFirst },
  'layer0.o_proj': { traced: 'layers.0.oProj' },
  'layer0.post_attention_layernorm': { traced: 'layers.0.postAttentionLayernorm' },
};

/**
 * The tests of one language case: logits, hidden states and the inner values of layer 0 in every way of feeding the prompt, greedy
 * tokens and their logits, the same through `generate`.
 *
 * @param innerValues - by their names in the case, without the run
 * @param load - a model of the case; `await using` frees it
 * @param waysOfFeeding - names of {@link ways}; where not all of them are tested, greedy tokens through `generate` are not either
 */
export function testLanguageRuns(
  golden: GoldenCase,
  innerValues: Readonly<Record<string, InnerValue>>,
  toleranceFactor: number,
  load: () => Promise<LanguageModel & AsyncDisposable>,
  waysOfFeeding: readonly string[] = Object.keys(ways),
): void {
  const runs = golden.description.runs!.map((run) => run.name);
  const reason = `${toleranceFactor} times the tolerance of case.json`;
  const expectTensor = (name: string, actual: ArrayLike<number>): void => {
    const { data, tolerance } = golden.tensor(name);
    expectClose(actual, data, { absolute: toleranceFactor * tolerance, reason }, name);
  };

  for (const run of runs) {
    // Where the published code keeps keys of the other list in its cache, the recomputed numbers are the ones of `reference`.
    const greedy = (what: string) =>
      golden.tensors.has(`${run}/greedy_${what}_rebuilt`) ? `greedy_${what}_rebuilt` : `greedy_${what}`;
    describe(run, () => {
      for (const way of waysOfFeeding) {
        const sizesOf = ways[way]!;
        it(`logits and hidden states, ${way}`, async () => {
          await using model = await load();
          const ids = golden.tensor(`${run}/input_ids`).data;
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

          const hidden = golden.tensor(`${run}/hidden_states`);
          const layers = hidden.shape[0]!;
          const size = ids.length * hiddenSize;
          for (let layer = 0; layer < layers; layer++) {
            const expected = hidden.data.subarray(layer * size, (layer + 1) * size);
            expectClose(
              recorder.rows.get(`hidden.${layer}`)!,
              expected,
              { absolute: toleranceFactor * hidden.tolerance, reason },
              `${run}/hidden_states[${layer}]`,
            );
          }
          expectTensor(`${run}/final_norm`, recorder.rows.get('finalNorm')!);
          for (const [name, { traced, reorder }] of Object.entries(innerValues)) {
            if (!golden.tensors.has(`${run}/${name}`)) continue;
            const rows = recorder.rows.get(traced)!;
            expectTensor(`${run}/${name}`, reorder ? reorder(rows, model, ids.length) : rows);
          }
        });
      }

      it('16 greedy tokens and the logits that chose them', async () => {
        await using model = await load();
        const ids = [...golden.tensor(`${run}/input_ids`).data];
        const expected = [...golden.tensor(`${run}/${greedy('ids')}`).data];
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
        expectTensor(`${run}/${greedy('logits')}`, rows);
      });

      if (waysOfFeeding.length < Object.keys(ways).length) return;
      it('the same tokens through generate', async () => {
        await using model = await load();
        const expected = [...golden.tensor(`${run}/${greedy('ids')}`).data];
        const ids: number[] = [];
        const promptIds = [...golden.tensor(`${run}/input_ids`).data];
        for await (const item of model.generate({ promptIds, maxNewTokens: expected.length, ignoreEos: true })) {
          if (item.type === 'token') ids.push(item.id);
        }
        expect(ids).toEqual(expected);
      });
    });
  }
}
