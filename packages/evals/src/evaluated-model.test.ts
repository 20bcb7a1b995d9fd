import { createLanguageModel } from '@phiblocks/runtime';
import { openCheckpoint } from '@phiblocks/runtime/node';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import { evaluatedModel } from './evaluated-model.ts';
import { perplexity } from './perplexity.ts';

describeWithShared('on the trained model', 'models/stories260k-phi3', () => {
  const load = async () => createLanguageModel(await openCheckpoint(sharedPath('models/stories260k-phi3')));
  const text = 'Once upon a time, there was a little girl named Mia. She had a red ball.';

  it('log probabilities are the log softmax of the logits, in one piece or several', async () => {
    const model = await load();
    try {
      const evaluated = evaluatedModel(model);
      expect(evaluated.format).toBe('plain');
      const ids = evaluated.encode(text);
      const session = model.createSession();
      const { data } = await session.advance(ids, { logits: 'all' });
      session.dispose();
      const { vocabSize } = model.config;
      for (const from of [1, 5, ids.length - 1]) {
        const given = await evaluated.logProbabilities(ids, from);
        expect(given.length).toBe(ids.length - from);
        for (let i = from; i < ids.length; i++) {
          const row = [...data.subarray((i - 1) * vocabSize, i * vocabSize)];
          const expected = row[ids[i]!]! - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
          // The cache was filled in pieces of other sizes: float32 sums of a few hundred terms in another order.
          expect(Math.abs(given[i - from]! - expected)).toBeLessThan(1e-4);
        }
      }
      // A story that the model was trained on the like of.
      const { perplexity: measured } = await perplexity(evaluated, text);
      expect(measured).toBeGreaterThan(1);
      expect(measured).toBeLessThan(15);
    } finally {
      await model.dispose();
    }
  });

  it('writes greedily behind prompt and answer prefix, and counts both', async () => {
    const model = await load();
    try {
      const evaluated = evaluatedModel(model, 'plain');
      const prompt = { prompt: 'Once upon a', answerPrefix: ' time' };
      expect(evaluated.countTokens(prompt)).toBe(evaluated.encode('Once upon a time').length);
      let expected = '';
      for await (const item of model.generate({ prompt: 'Once upon a time', maxNewTokens: 8 })) {
        expected += item.type === 'token' ? item.text : item.tail;
      }
      expect(await evaluated.generate(prompt, { maxNewTokens: 8 })).toBe(expected);
      await expect(evaluated.generate(prompt, { maxNewTokens: 8, signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'ABORTED',
      });
      expect(() => evaluatedModel(model, 'chat')).toThrow(expect.objectContaining({ code: 'CHAT_TEMPLATE_MISSING' }));
    } finally {
      await model.dispose();
    }
  });
});
