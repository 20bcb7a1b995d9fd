import { describeWithShared, loadGolden, sharedPath } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collect, createLanguageModel, findDraft, type GenerateOptions, type LanguageModel } from '../src/index.ts';
import { loadModel } from '../src/node.ts';
import { openTinyCheckpoint, tinyLongRope, tinyTokenizerJson } from './tiny-checkpoint.ts';

/** By definition: every ending from the longest down, every earlier place from the last back. */
function draftByDefinition(ids: number[], maxNgram: number, maxDraft: number): number[] {
  for (let length = maxNgram; length >= 1; length--) {
    const ending = ids.slice(-length).join();
    if (ids.length < length) continue;
    for (let start = ids.length - length - 1; start >= 0; start--) {
      if (ids.slice(start, start + length).join() === ending) return ids.slice(start + length).slice(0, maxDraft);
    }
  }
  return [];
}

describe('findDraft', () => {
  it('is what its definition says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (ids, maxNgram, maxDraft) => {
          expect(findDraft(ids, { maxNgram, maxDraft })).toEqual(draftByDefinition(ids, maxNgram, maxDraft));
        },
      ),
      { seed: 2026, numRuns: 300 },
    );
  });
});

const backends = {
  reference: { backend: 'reference' },
  'wasm, 2 threads': { backend: 'wasm', threads: 2 },
} as const;

/** What must not differ; the time and the number of guesses may. */
async function comparable(model: LanguageModel, options: GenerateOptions) {
  const session = model.createSession();
  const { ids, text, finishReason } = await collect(session.generate(options));
  const held = [...session.ids];
  session.dispose();
  return { ids, text, finishReason, held };
}

async function expectSame(
  model: LanguageModel,
  options: GenerateOptions,
  lookup: { maxNgram: number; maxDraft: number },
) {
  const plain = await comparable(model, options);
  expect(await comparable(model, { ...options, promptLookup: lookup })).toEqual(plain);
}

const lookups = fc.record({ maxNgram: fc.integer({ min: 1, max: 4 }), maxDraft: fc.integer({ min: 1, max: 12 }) });

describe.each(Object.entries(backends))('prompt lookup on %s', (_, choice) => {
  it.each([
    ['plain RoPE', {}],
    ['LongRoPE, over its boundary at 16', tinyLongRope],
    ['a window of 5', { sliding_window: 5 }],
  ])('never changes greedy output: %s', async (_, overrides) => {
    const model = await createLanguageModel(await openTinyCheckpoint(overrides, 5), choice);
    const ids = fc.array(fc.integer({ min: 3, max: 8 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(ids, fc.integer({ min: 0, max: 50 }), lookups, async (promptIds, maxNewTokens, lookup) => {
        const options = { promptIds: [1, ...promptIds], maxNewTokens, ignoreEos: true };
        await expectSame(model, options, lookup);
        await expectSame(model, { ...options, repetitionPenalty: 1.3 }, lookup);
      }),
      { seed: 2026, numRuns: 25 },
    );
    await model.dispose();
  });

  describeWithShared('on trained and golden models', 'models/stories260k-phi3', () => {
    it('the trained model, with stops', async () => {
      const model = await loadModel(sharedPath('models/stories260k-phi3'), choice);
      const prompt = 'Lily saw a big dog. The big dog saw Lily. Lily saw a big';
      for (const stop of [[], ['dog'], [' was']]) {
        await expectSame(model, { prompt, maxNewTokens: 100, stop }, { maxNgram: 3, maxDraft: 8 });
      }
      const { usage } = await collect(model.generate({ prompt, maxNewTokens: 100, promptLookup: {} }));
      expect(usage.promptLookup!.acceptedDraftTokens).toBeGreaterThan(0);
      expect(usage.promptLookup!.draftTokens).toBeGreaterThanOrEqual(usage.promptLookup!.acceptedDraftTokens);
      await model.dispose();
    });

    it.each(['phi3-mha-a', 'phi3-longrope-a', 'phi3-window-a'])('%s', async (name) => {
      const golden = loadGolden(name);
      const model = await loadModel(golden.path, choice);
      const run = golden.description.runs![0]!.name;
      const promptIds = [...golden.tensor(`${run}/input_ids`).data];
      const expected = [...golden.tensor(`${run}/greedy_ids`).data];
      const options = { promptIds, maxNewTokens: expected.length, ignoreEos: true, promptLookup: { maxNgram: 1 } };
      expect((await collect(model.generate(options))).ids).toEqual(expected);
      await model.dispose();
    });
  });
});

describe('prompt lookup', () => {
  it('is an error with sampling and with options out of range', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint());
    const generate = (options: object) => collect(model.generate({ promptIds: [1], maxNewTokens: 1, ...options }));
    await expect(generate({ promptLookup: {}, temperature: 0.7 })).rejects.toMatchObject({ code: 'ARGUMENT' });
    await expect(generate({ promptLookup: { maxDraft: 0 } })).rejects.toMatchObject({ code: 'ARGUMENT' });
    await expect(generate({ promptLookup: { maxNgram: 1.5 } })).rejects.toMatchObject({ code: 'ARGUMENT' });
    await expect(generate({ promptLookup: { ngram: 2 } })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    expect((await generate({ promptLookup: {}, temperature: 0 })).ids).toHaveLength(1);
  });

  it('leaves no guess in the session when the reader goes away or the signal stops it', async () => {
    const files = { 'tokenizer.json': tinyTokenizerJson() };
    const model = await createLanguageModel(await openTinyCheckpoint({}, 5, files));
    const session = model.createSession();
    const promptIds = [1, 5, 6, 5, 6, 5, 6, 5];
    const options = { promptIds, maxNewTokens: 40, ignoreEos: true, promptLookup: { maxNgram: 1 } };
    let chosen = 0;
    for await (const item of session.generate(options)) {
      if (item.type === 'token' && ++chosen === 7) break;
    }
    const controller = new AbortController();
    expect(session.ids.length).toBeLessThanOrEqual(promptIds.length + chosen - 1);
    const generation = session.generate({ ...options, signal: controller.signal });
    for await (const item of generation) {
      if (item.type === 'token') controller.abort();
      else expect(session.ids.length).toBeLessThanOrEqual(promptIds.length + item.ids.length - 1);
    }
  });
});
