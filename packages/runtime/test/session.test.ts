import { describe, expect, it } from 'vitest';
import { collect, createLanguageModel, createReferenceBackend, type LanguageModel } from '../src/index.ts';
import { openTinyCheckpoint, tinyLongRope, tinyTokenizerJson } from './tiny-checkpoint.ts';

async function tinyModel(overrides = {}): Promise<LanguageModel> {
  return createLanguageModel(await openTinyCheckpoint(overrides, 1, { 'tokenizer.json': tinyTokenizerJson() }));
}

const prompt = [1, 40, 41, 42, 43, 44, 45, 46];

describe('a session', () => {
  it('runs only what it does not hold yet, and gets the same tokens as a fresh one', async () => {
    const model = await tinyModel();
    const session = model.createSession();
    const first = await collect(session.generate({ promptIds: prompt, maxNewTokens: 5 }));
    expect(first.usage).toMatchObject({ promptTokens: 8, cachedPromptTokens: 0, completionTokens: 5, totalTokens: 13 });

    const secondPrompt = [...prompt, ...first.ids, 50, 51];
    const second = await collect(session.generate({ promptIds: secondPrompt, maxNewTokens: 5 }));
    // The last token of the first answer was chosen but never run.
    expect(second.usage.cachedPromptTokens).toBe(8 + 5 - 1);
    const fresh = await collect(model.generate({ promptIds: secondPrompt, maxNewTokens: 5 }));
    expect(second.ids).toEqual(fresh.ids);
    expect(fresh.usage.cachedPromptTokens).toBe(0);
  });

  it('keeps the common prefix when a turn is edited', async () => {
    const model = await tinyModel();
    const session = model.createSession();
    await collect(session.generate({ promptIds: prompt, maxNewTokens: 4 }));
    const edited = [...prompt.slice(0, 5), 99, 98];
    const again = await collect(session.generate({ promptIds: edited, maxNewTokens: 4 }));
    expect(again.usage.cachedPromptTokens).toBe(5);
    expect(again.ids).toEqual((await collect(model.generate({ promptIds: edited, maxNewTokens: 4 }))).ids);
  });

  it('runs the last token again when the prompt is wholly held', async () => {
    const model = await tinyModel();
    const session = model.createSession();
    const first = await collect(session.generate({ promptIds: prompt, maxNewTokens: 3 }));
    const again = await collect(session.generate({ promptIds: prompt, maxNewTokens: 3 }));
    expect(again.usage.cachedPromptTokens).toBe(prompt.length - 1);
    expect(again.ids).toEqual(first.ids);
  });

  it('rewound from above the LongRoPE boundary to below it, gives the numbers of a fresh session', async () => {
    const model = await tinyModel(tinyLongRope);
    const session = model.createSession();
    const long = Array.from({ length: 20 }, (_, i) => 30 + i);
    await session.advance(long);
    session.truncate(10);
    const rewound = await session.advance([70], { logits: 'last' });
    const fresh = await model.createSession().advance([...long.slice(0, 10), 70]);
    expect(rewound).toEqual(fresh);
  });

  it('serves one call at a time and is free again afterwards, also after an early end', async () => {
    const session = (await tinyModel()).createSession();
    const running = session.generate({ promptIds: prompt, maxNewTokens: 5 });
    await running.next();
    await expect(session.advance([5])).rejects.toMatchObject({ code: 'SESSION_BUSY', retryable: true });
    await expect(session.generate({ promptIds: prompt }).next()).rejects.toMatchObject({ code: 'SESSION_BUSY' });
    expect(() => session.truncate(0)).toThrow(/SESSION_BUSY/);
    await running.return();
    expect((await session.advance([5])).shape).toEqual([1, 300]);
  });

  it('two at once on one model give the tokens of one after the other', async () => {
    const model = await tinyModel();
    const prompts = [prompt, [1, 60, 61, 62]];
    const oneAfterTheOther: (readonly number[])[] = [];
    for (const promptIds of prompts) {
      oneAfterTheOther.push((await collect(model.generate({ promptIds, maxNewTokens: 12 }))).ids);
    }
    const atOnce = await Promise.all(
      prompts.map((promptIds) => collect(model.generate({ promptIds, maxNewTokens: 12 }))),
    );
    expect(atOnce.map((end) => end.ids)).toEqual(oneAfterTheOther);
  });

  it('rejects what it cannot hold and what is no token, and goes on', async () => {
    const session = (await tinyModel()).createSession({ contextLength: 10 });
    await expect(session.advance(Array(11).fill(1))).rejects.toMatchObject({ code: 'CTX_OVERFLOW' });
    await expect(session.advance([1, 300])).rejects.toMatchObject({ code: 'TOKEN_ID_RANGE', argument: 'ids[1]' });
    await expect(session.advance([-1])).rejects.toMatchObject({ code: 'TOKEN_ID_RANGE' });
    await expect(session.advance([Number.NaN])).rejects.toMatchObject({ code: 'TOKEN_ID_RANGE' });
    await expect(session.advance([])).rejects.toMatchObject({ code: 'ARGUMENT' });
    await expect(session.advance([1], { logit: 'all' } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    expect((await session.advance(Array(10).fill(1))).shape).toEqual([1, 300]);
    await expect(session.advance([1])).rejects.toMatchObject({ code: 'CTX_OVERFLOW' });
    expect(() => session.truncate(11)).toThrow(/ARGUMENT truncate/);
  });

  it('rejects wrong options at once', async () => {
    const model = await tinyModel();
    expect(() => model.createSession({ contextLength: 65 })).toThrow(/ARGUMENT createSession\(contextLength\)/);
    expect(() => model.createSession({ prefillChunkSize: 0 })).toThrow(/ARGUMENT/);
    expect(() => model.createSession({ ropePolicy: 'longest' as never })).toThrow(/ARGUMENT/);
    expect(() => model.createSession({ chunk: 4 } as never)).toThrow(/OPTION_UNKNOWN/);
  });

  it('is disposed once and for all', async () => {
    const session = (await tinyModel()).createSession();
    session.dispose();
    session.dispose();
    await expect(session.advance([1])).rejects.toMatchObject({ code: 'SESSION_DISPOSED' });
  });

  it('stops between layers and between chunks, and what it holds stays right', async () => {
    const model = await tinyModel();
    const session = model.createSession({ prefillChunkSize: 4 });
    const controller = new AbortController();
    const ids = Array.from({ length: 20 }, (_, i) => 30 + i);
    const aborted = session.advance(ids, {
      signal: controller.signal,
      onProgress: ({ done }) => done === 8 && controller.abort('enough'),
    });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect(session.ids).toEqual(ids.slice(0, 8));
    const rest = await session.advance(ids.slice(8));
    expect(rest).toEqual(await model.createSession({ prefillChunkSize: 4 }).advance(ids));
  });

  it('lets other tasks run between short passes', async () => {
    const session = (await tinyModel()).createSession();
    let ran = false;
    setImmediate(() => {
      ran = true;
    });
    const started = performance.now();
    while (!ran && performance.now() - started < 5000) {
      session.truncate(0);
      await session.advance([1]);
    }
    expect(ran).toBe(true);
  });

  it('an aborted signal means no work at all', async () => {
    const session = (await tinyModel()).createSession();
    await expect(session.advance([1], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(session.ids).toEqual([]);
  });

  it('loading, generating and freeing leaves nothing behind', async () => {
    const backend = createReferenceBackend();
    for (let round = 0; round < 5; round++) {
      const model = await createLanguageModel(await openTinyCheckpoint(), { backend });
      await collect(model.generate({ promptIds: prompt, maxNewTokens: 3 }));
      const broken = model.generate({ promptIds: prompt, maxNewTokens: 3 });
      await broken.next();
      await broken.return();
      await model.dispose();
      expect(backend.liveHandles()).toBe(0);
    }
  });
});
