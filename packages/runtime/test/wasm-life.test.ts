import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { collect, createLanguageModel, type LanguageModelOptions } from '../src/index.ts';
import { openTinyCheckpoint } from './tiny-checkpoint.ts';

// What must hold when things end: workers, models, prompts.

const wasm: LanguageModelOptions = { backend: 'wasm', threads: 2 };
/** Large enough for its operations to be shared between threads, and for a long prompt to take a while. */
const larger = {
  hidden_size: 512,
  intermediate_size: 1024,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  max_position_embeddings: 8192,
  original_max_position_embeddings: 8192,
};
const promptIds = [1, 40, 41, 42, 43];

describe('on WebAssembly', () => {
  it('a worker that is killed in mid-generation is a typed error, and the process goes on', async () => {
    const workers: Worker[] = [];
    const createWorker = () => {
      const worker = new Worker(new URL(import.meta.resolve('@phiblocks/backend-wasm/worker')));
      workers.push(worker);
      return worker;
    };
    const model = await createLanguageModel(await openTinyCheckpoint(larger), {
      ...wasm,
      backendOptions: { createWorker },
    });
    const generation = model.generate({ promptIds, maxNewTokens: 50, ignoreEos: true });
    await generation.next();
    // Not awaited: the thread that waits for the worker hears nothing of its end, and must find out by itself.
    void workers[0]!.terminate();
    const killed = performance.now();
    await expect(collect(generation)).rejects.toMatchObject({ code: 'WORKER_LOST' });
    expect(performance.now() - killed).toBeLessThan(1000);
    expect(model.backendReport().notes.join(' ')).toMatch(/Out of order/);
    await model.dispose();

    const next = await createLanguageModel(await openTinyCheckpoint(larger), wasm);
    expect((await collect(next.generate({ promptIds, maxNewTokens: 5, ignoreEos: true }))).ids).toHaveLength(5);
    await next.dispose();
  });

  it('loading and freeing 20 times leaks no more than 5 MB', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    const checkpoint = await openTinyCheckpoint(larger);
    const round = async () => {
      const model = await createLanguageModel({ ...checkpoint, close: async () => {} }, wasm);
      await collect(model.generate({ promptIds, maxNewTokens: 3, ignoreEos: true }));
      await model.dispose();
    };
    const used = async () => {
      for (let i = 0; i < 3; i++) {
        collectGarbage();
        await new Promise((resolve) => setImmediate(resolve)); // finalizers run in tasks of their own
      }
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external; // array buffers are part of `external`
    };
    for (let i = 0; i < 3; i++) await round(); // what is compiled and cached once is no leak
    const before = await used();
    for (let i = 0; i < 20; i++) await round();
    expect((await used()) - before).toBeLessThan(5e6);
  });

  it('an abort during a prompt of 4,096 tokens is heard within 300 ms', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint(larger), wasm);
    const session = model.createSession();
    const ids = Array.from({ length: 4096 }, (_, i) => 3 + (i % 290));
    const controller = new AbortController();
    // Counted from when the timer is due, not from when the busy thread lets it run.
    const due = performance.now() + 100;
    setTimeout(() => controller.abort(), 100);
    await expect(session.advance(ids, { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(performance.now() - due).toBeLessThan(300);
    expect(session.ids.length % 8).toBe(0); // whole chunks: 64 tokens, or fewer on a busy machine
    expect(session.ids.length).toBeLessThan(4096);
    await model.dispose();
  });

  it('a pass of many tokens gives the bits of one by one, which is what makes prompt lookup exact', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint(larger), wasm);
    const ids = Array.from({ length: 30 }, (_, i) => 3 + ((i * 7) % 290));
    const whole = await model.createSession().advance(ids, { logits: 'all' });
    const session = model.createSession();
    const rows: number[] = [];
    for (const id of ids) for (const value of (await session.advance([id])).data) rows.push(value);
    expect(rows).toEqual([...whole.data]);
    await model.dispose();
  });
});
