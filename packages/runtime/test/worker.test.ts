import { isPhi3Error, Phi3Error, ShapeError } from '@phiblocks/tensor';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type CheckpointPlace,
  collect,
  createLanguageModel,
  createPhi3Worker,
  type NamedBlob,
  type Phi3Worker,
  readAttention,
} from '../src/index.ts';
import { packError, unpackError } from '../src/worker/error-transfer.ts';
import { SequenceFilter } from '../src/worker/sequence-filter.ts';
import { runPhi3Worker } from '../src/worker.ts';
import { openTinyCheckpoint, tinyCheckpointFiles, tinyTokenizerJson } from './tiny-checkpoint.ts';

// The protocol between a page and its worker, over a MessageChannel: the same messages, without a browser.

const opened: Phi3Worker[] = [];

async function connect(): Promise<{ worker: Phi3Worker; page: MessagePort; inside: MessagePort }> {
  const { port1, port2 } = new MessageChannel();
  runPhi3Worker(port2);
  const worker = await createPhi3Worker({ worker: port1 });
  opened.push(worker);
  return { worker, page: port1, inside: port2 };
}

afterEach(() => {
  for (const worker of opened.splice(0)) worker.dispose();
});

const tokenizer = { 'tokenizer.json': tinyTokenizerJson() };

function tinyPlace(files = tinyCheckpointFiles({}, 1, tokenizer)): CheckpointPlace {
  const named: NamedBlob[] = [...files].map(([name, bytes]) => ({
    name: `folder/${name}`,
    blob: new Blob([Uint8Array.from(bytes)]),
  }));
  return { files: named };
}

const openTiny = async () => createLanguageModel(await openTinyCheckpoint({}, 1, tokenizer));

describe('a model in a worker', () => {
  it('says, generates and advances what the same model does in process', async () => {
    const { worker } = await connect();
    const progress: number[] = [];
    const model = await worker.loadModel(tinyPlace(), {
      backend: 'reference',
      onProgress: ({ loadedBytes, totalBytes }) => progress.push(loadedBytes / totalBytes),
    });
    const here = await openTiny();
    expect(progress.at(-1)).toBe(1);
    expect(model.config).toEqual(here.config);
    expect(model.stopTokenIds).toEqual(here.stopTokenIds);
    expect(await model.backendReport()).toEqual(here.backendReport());
    const text = 'the inn';
    const ids = await model.encodePrompt(text);
    expect([...ids]).toEqual([...here.encodePrompt(text)]);
    expect(await model.decode(ids)).toBe(here.tokenizer!.decode(ids));
    expect(await model.tokens([5, 9999])).toEqual([here.tokenizer!.idToToken(5), undefined]);

    const options = { prompt: text, maxNewTokens: 8, temperature: 1, seed: 7, logprobs: 3, ignoreEos: true };
    const [there, expected] = [[], []] as [unknown[], unknown[]];
    for await (const item of model.generate(options)) there.push({ ...item, timings: undefined });
    for await (const item of here.generate(options)) expected.push({ ...item, timings: undefined });
    expect(there).toEqual(expected);

    const looked = await model.readAttention([1, 5, 9], { layer: 1, head: 3 });
    expect(looked).toEqual(await readAttention(here, [1, 5, 9], { layer: 1, head: 3 }));

    const session = await model.createSession();
    const sessionHere = here.createSession();
    expect(await session.advance([1, 5, 9])).toEqual(await sessionHere.advance([1, 5, 9]));
    expect(await session.state()).toEqual({ ids: [1, 5, 9], cacheSizeInBytes: sessionHere.cacheSizeInBytes });
    const memory = await model.memory();
    expect(memory.cachesInBytes).toBe(sessionHere.cacheSizeInBytes);
    expect(memory.backendInBytes).toBeGreaterThanOrEqual(memory.weightsInBytes);
    await session.truncate(2);
    const restored = await model.restoreSession(await session.save());
    expect((await restored.state()).ids).toEqual([1, 5]);
    await model.dispose();
    await here.dispose();
    expect(await worker.ignoredMessages()).toEqual({
      page: { unknown: 0, duplicate: 0 },
      worker: { unknown: 0, duplicate: 0 },
    });
  });

  it('stops at the signal, and when its reader leaves', async () => {
    const { worker } = await connect();
    const model = await worker.loadModel(tinyPlace(), { backend: 'reference' });
    const session = await model.createSession();
    const controller = new AbortController();
    const generation = session.generate({
      promptIds: [1],
      maxNewTokens: 50,
      ignoreEos: true,
      signal: controller.signal,
    });
    const reasons: string[] = [];
    for await (const item of generation) {
      controller.abort();
      if (item.type === 'end') reasons.push(item.finishReason);
    }
    expect(reasons).toEqual(['aborted']);
    for await (const item of session.generate({ promptIds: [1], maxNewTokens: 50 })) {
      expect(item.type).toBe('token');
      break;
    }
    // The session is free again.
    expect((await collect(session.generate({ promptIds: [1], maxNewTokens: 2, ignoreEos: true }))).ids).toHaveLength(2);
    const reason = new Error('enough');
    await expect(worker.loadModel(tinyPlace(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('errors keep their code and fields over the border', async () => {
    const { worker } = await connect();
    await expect(worker.loadModel({ files: [] })).rejects.toMatchObject({
      code: 'CHECKPOINT_FILE_MISSING',
      expected: 'config.json',
      where: { file: 'the chosen files' },
    });
    const model = await worker.loadModel(tinyPlace(), { backend: 'reference' });
    const error: unknown = await collect(model.generate({ promptIds: [1, 400] })).catch((caught: unknown) => caught);
    expect(isPhi3Error(error, 'TOKEN_ID_RANGE')).toBe(true);
    expect(error).toMatchObject({ argument: 'ids[1]', got: 400 });
    await expect(collect(model.generate({ promptIds: [1], topQ: 1 } as never))).rejects.toMatchObject({
      code: 'OPTION_UNKNOWN',
    });
    await expect(worker.loadModel(tinyPlace(), { backend: () => {} } as never)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
    // The number that was never sent holds nothing up.
    expect(await model.decode([5])).toBeTypeOf('string');
    await model.dispose();
    await expect(model.backendReport()).rejects.toMatchObject({ code: 'WORKER_PROTOCOL' });
  });

  it('PF-05 a worker that is lost rejects all that waits, and all that comes later', async () => {
    const { worker, inside } = await connect();
    const model = await worker.loadModel(tinyPlace(), { backend: 'reference' });
    const generation = model.generate({ promptIds: [1], maxNewTokens: 1000, ignoreEos: true });
    await generation.next();
    const waiting = [generation.next(), model.fingerprint(), worker.loadModel(tinyPlace())];
    const outcomes = Promise.allSettled(waiting);
    inside.close();
    await expect(worker.lost).rejects.toMatchObject({ code: 'WORKER_LOST' });
    for (const outcome of await outcomes) {
      // What the worker had already answered before it ended may still arrive.
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'WORKER_LOST' });
    }
    await expect(model.backendReport()).rejects.toMatchObject({ code: 'WORKER_LOST' });
    await model.dispose();
  });

  it('PF-06 unknown and duplicate messages are ignored and counted, in both directions', async () => {
    const { worker, page, inside } = await connect();
    const ignored = (await worker.ignoredMessages()).worker;
    expect(ignored).toEqual({ unknown: 0, duplicate: 0 });
    for (const port of [page, inside]) {
      for (const message of ['?', null, { phiblocks: 1 }, { phiblocks: 2, sequence: 3, type: 'call' }]) {
        port.postMessage(message);
      }
      port.postMessage({ phiblocks: 1, sequence: 2 ** 40, type: port === page ? 'call' : 'result', call: 1 });
      // Number 1 was the greeting.
      port.postMessage({
        phiblocks: 1,
        sequence: 1,
        type: port === page ? 'call' : 'result',
        call: 1,
        method: 'hello',
      });
    }
    // An answer to nothing that was asked.
    inside.postMessage({ phiblocks: 1, sequence: 900, type: 'result', call: 77, value: 1 });
    const model = await worker.loadModel(tinyPlace(), { backend: 'reference' });
    expect(await worker.ignoredMessages()).toEqual({
      page: { unknown: 6, duplicate: 1 },
      worker: { unknown: 5, duplicate: 1 },
    });
    expect((await collect(model.generate({ promptIds: [1], maxNewTokens: 2, ignoreEos: true }))).ids).toHaveLength(2);
  });

  it('a method that does not exist is an error, also one that every object has', async () => {
    const { page } = await connect();
    const answers: unknown[] = [];
    page.addEventListener('message', ({ data }) => answers.push(data));
    const answered = new Promise((resolve) => page.addEventListener('message', resolve));
    page.postMessage({ phiblocks: 1, sequence: 500, type: 'call', method: 'constructor', args: [] });
    await answered;
    expect(answers).toMatchObject([{ type: 'error', call: 500, error: { phi3: { code: 'WORKER_PROTOCOL' } } }]);
  });
});

describe('SequenceFilter', () => {
  it('takes every number once, in any order', () => {
    const filter = new SequenceFilter();
    expect([2, 1, 2, 4, 1, 3, 3].map((number) => filter.accept(number))).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
      false,
    ]);
    expect(filter.accept(5000)).toBe(false);
    expect(filter.ignored).toEqual({ unknown: 1, duplicate: 3 });
  });
});

describe('errors as messages', () => {
  it.each([
    new Phi3Error({
      code: 'FILE_RANGE',
      function: 'read',
      argument: 'offset',
      expected: 'less',
      got: [1, 2],
      where: { file: 'x', offset: 3 },
      hint: 'Try',
      retryable: true,
      cause: new TypeError('below'),
    }),
    new ShapeError({ function: 'linear', expected: '[2]', got: { a: 1 } }),
    new RangeError('plain'),
  ])('%s', (error) => {
    const back = unpackError(structuredClone(packError(error)));
    expect(back.message).toBe(error.message);
    expect(back.name).toBe(error.name);
    expect(back).toBeInstanceOf(isPhi3Error(error) ? Phi3Error : Error);
    if (isPhi3Error(error)) {
      const { code, argument, expected, where, hint, retryable } = error;
      expect(back).toMatchObject({ code, argument, expected, where, hint, retryable });
    }
    if (error.cause) expect((back.cause as Error).message).toBe('below');
  });

  it('what is no error, and a circle of causes', () => {
    expect(unpackError(packError('text')).message).toBe('text');
    const circle = new Error('round');
    circle.cause = circle;
    expect(structuredClone(packError(circle)).message).toBe('round');
  });
});
