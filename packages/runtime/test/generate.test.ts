import { encodeFloats } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import {
  type Checkpoint,
  collect,
  createLanguageModel,
  type GenerateOptions,
  type LanguageModel,
} from '../src/index.ts';
import { openTinyCheckpoint, tinyTokenizerJson } from './tiny-checkpoint.ts';

const text = (value: object) => new TextEncoder().encode(JSON.stringify(value));

async function tinyModel(extraFiles: Record<string, Uint8Array> = {}): Promise<LanguageModel> {
  const files = { 'tokenizer.json': tinyTokenizerJson(), ...extraFiles };
  return createLanguageModel(await openTinyCheckpoint({}, 3, files));
}

/** Ids that the tiny model chooses greedily behind this prompt, for tests that stop somewhere among them. */
const prompt = [1, 70, 71, 72];

describe('generate', () => {
  it('streams tokens, then one end; the pieces make the text', async () => {
    const model = await tinyModel();
    const types: string[] = [];
    let streamed = '';
    let whole = '';
    for await (const item of model.generate({ prompt: 'the an', maxNewTokens: 12 })) {
      types.push(item.type);
      streamed += item.type === 'token' ? item.text : item.tail;
      if (item.type === 'end') {
        whole = item.text;
        expect(item.ids).toHaveLength(types.length - 1);
        expect(item.finishReason).toBe('length');
        expect(item.timings.decodeMs).toBeGreaterThan(0);
        expect(item.warnings).toEqual([]);
      }
    }
    expect(types.at(-1)).toBe('end');
    expect(streamed).toBe(whole);
  });

  it('stops at the ids of generation_config, leaves them out of the text, and goes on with ignoreEos', async () => {
    const free = await collect((await tinyModel()).generate({ promptIds: prompt, maxNewTokens: 10, ignoreEos: true }));
    const stopId = free.ids[4]!;
    const first = free.ids.indexOf(stopId);
    const model = await tinyModel({ 'generation_config.json': text({ eos_token_id: [stopId, 2] }) });
    const stopped = await collect(model.generate({ promptIds: prompt, maxNewTokens: 10 }));
    expect(stopped.finishReason).toBe('stop');
    expect(stopped.ids).toEqual(free.ids.slice(0, first + 1));
    const ignored = await collect(model.generate({ promptIds: prompt, maxNewTokens: 10, ignoreEos: true }));
    expect(ignored.ids).toEqual(free.ids);
  });

  it('stops before a stop string, also one that comes in pieces', async () => {
    const model = await tinyModel();
    const free = await collect(model.generate({ promptIds: prompt, maxNewTokens: 16, ignoreEos: true }));
    const stop = free.text.slice(3, 6);
    const at = free.text.indexOf(stop);
    let streamed = '';
    let end: Awaited<ReturnType<typeof collect>> | undefined;
    for await (const item of model.generate({ promptIds: prompt, maxNewTokens: 16, ignoreEos: true, stop: [stop] })) {
      streamed += item.type === 'token' ? item.text : item.tail;
      if (item.type === 'end') end = item;
    }
    expect(end).toMatchObject({ finishReason: 'stop', text: free.text.slice(0, at) });
    expect(streamed).toBe(free.text.slice(0, at));
  });

  it('ends when the context is full, and says that it asked for more', async () => {
    const model = await tinyModel();
    const promptIds = Array.from({ length: 60 }, (_, i) => 30 + i);
    const end = await collect(model.generate({ promptIds, maxNewTokens: 10, ignoreEos: true }));
    expect(end).toMatchObject({ finishReason: 'context', usage: { completionTokens: 4 } });
    expect(end.warnings).toEqual(['maxNewTokens 10 was lowered to 4: the context holds 64 tokens']);
  });

  it('with maxNewTokens 0 only reads the prompt', async () => {
    const end = await collect((await tinyModel()).generate({ promptIds: prompt, maxNewTokens: 0 }));
    expect(end).toMatchObject({ ids: [], text: '', finishReason: 'length', usage: { promptTokens: 4 } });
  });

  it('continues a prompt as the whole would be decoded, also behind a space', async () => {
    const model = await tinyModel();
    // Letters only: behind bytes that are no UTF-8 a stream keeps characters that decoding the whole gives up.
    const logitBias = new Map(Array.from({ length: 259 }, (_, id) => [id, Number.NEGATIVE_INFINITY]));
    for (const prompt of ['the an', 'the ', 'in  ']) {
      const end = await collect(model.generate({ prompt, maxNewTokens: 12, ignoreEos: true, logitBias }));
      const whole = model.tokenizer!.decode([...end.promptIds, ...end.ids], { skipSpecialTokens: true });
      expect(`${model.tokenizer!.decode(end.promptIds)}${end.text}`).toBe(whole);
    }
  });

  it('an empty prompt starts from the begin-of-sequence token and says so', async () => {
    const end = await collect((await tinyModel()).generate({ prompt: '', maxNewTokens: 1 }));
    expect(end.promptIds).toEqual([1]);
    expect(end.warnings).toHaveLength(1);
  });

  it('aborted, it ends with the text so far', async () => {
    const model = await tinyModel();
    const controller = new AbortController();
    const tokens: number[] = [];
    let end: Awaited<ReturnType<typeof collect>> | undefined;
    for await (const item of model.generate({
      promptIds: prompt,
      maxNewTokens: 50,
      ignoreEos: true,
      signal: controller.signal,
    })) {
      if (item.type === 'token') tokens.push(item.id);
      else end = item;
      if (tokens.length === 3) controller.abort();
    }
    expect(end).toMatchObject({ finishReason: 'aborted' });
    expect(end!.ids).toEqual(tokens);
    expect(tokens).toHaveLength(3);
  });

  it('aborted before it began, it does nothing', async () => {
    const model = await tinyModel();
    const end = await collect(model.generate({ promptIds: prompt, signal: AbortSignal.abort() }));
    expect(end).toMatchObject({ finishReason: 'aborted', ids: [], text: '' });
  });

  it('a seed repeats a sampled text; the seed is told', async () => {
    const model = await tinyModel();
    const options = { promptIds: prompt, maxNewTokens: 12, temperature: 1.5, topP: 0.9, ignoreEos: true };
    const first = await collect(model.generate(options));
    const again = await collect(model.generate({ ...options, seed: first.seed }));
    const other = await collect(model.generate({ ...options, seed: first.seed + 1 }));
    expect(again.ids).toEqual(first.ids);
    expect(other.ids).not.toEqual(first.ids);
  });

  it('gives log-probabilities of the chosen and the likeliest tokens', async () => {
    for await (const item of (await tinyModel()).generate({ promptIds: prompt, maxNewTokens: 3, logprobs: 2 })) {
      if (item.type !== 'token') continue;
      expect(item.topLogprobs).toHaveLength(2);
      expect(item.topLogprobs![0]).toEqual({ id: item.id, logprob: item.logprob });
    }
  });

  it.each<[string, GenerateOptions, string]>([
    ['a misspelt option', { promptIds: prompt, top_p: 0.5 } as never, 'OPTION_UNKNOWN'],
    ['no prompt', {}, 'ARGUMENT'],
    ['two prompts', { prompt: 'a', promptIds: prompt }, 'ARGUMENT'],
    ['an id outside the vocabulary', { promptIds: [1, 300] }, 'TOKEN_ID_RANGE'],
    ['a prompt beyond the context', { promptIds: Array(65).fill(1) }, 'CTX_OVERFLOW'],
    ['a negative number of tokens', { promptIds: prompt, maxNewTokens: -1 }, 'ARGUMENT'],
    ['infinitely many tokens', { promptIds: prompt, maxNewTokens: Number.POSITIVE_INFINITY }, 'ARGUMENT'],
    ['half a token', { promptIds: prompt, maxNewTokens: 1.5 }, 'ARGUMENT'],
    ['an empty stop string', { promptIds: prompt, stop: [''] }, 'ARGUMENT'],
    ['an endless stop string', { promptIds: prompt, stop: ['x'.repeat(2000)] }, 'ARGUMENT'],
    ['a negative temperature', { promptIds: prompt, temperature: -1 }, 'ARGUMENT'],
    ['topP 0', { promptIds: prompt, topP: 0 }, 'ARGUMENT'],
    ['a seed that is no whole number', { promptIds: prompt, seed: 0.5 }, 'ARGUMENT'],
    ['a chat without a chat format', { messages: [{ role: 'user', content: 'a' }] }, 'CHAT_TEMPLATE_MISSING'],
  ])('%s is an error before any work', async (_, options, code) => {
    const model = await tinyModel();
    await expect(collect(model.generate(options))).rejects.toMatchObject({ code });
  });

  it('text without a tokenizer is an error that says what is missing', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint());
    await expect(collect(model.generate({ prompt: 'a' }))).rejects.toMatchObject({ code: 'TOKENIZER_MISSING' });
    await expect(collect(model.generate({ promptIds: prompt, stop: ['a'] }))).rejects.toMatchObject({
      code: 'TOKENIZER_MISSING',
    });
    expect((await collect(model.generate({ promptIds: prompt, maxNewTokens: 2 }))).text).toBe('');
  });

  it('NaN in the logits is an error, never a token', async () => {
    const checkpoint = await openTinyCheckpoint();
    const poisoned: Checkpoint = {
      ...checkpoint,
      weights: {
        ...checkpoint.weights,
        tensors: checkpoint.weights.tensors,
        warnings: [],
        readFloats: (name) => checkpoint.weights.readFloats(name),
        async readMatrix(name) {
          const stored = await checkpoint.weights.readMatrix(name);
          if (name !== 'lm_head.weight') return stored;
          const [rows, columns] = stored.shape;
          const values = new Float32Array(rows * columns).fill(Number.NaN);
          return createWeightMatrix('F32', [rows, columns], encodeFloats(values, 'F32'));
        },
      },
    };
    const model = await createLanguageModel(poisoned);
    await expect(collect(model.generate({ promptIds: prompt }))).rejects.toMatchObject({ code: 'NUM_NAN' });
  });
});
