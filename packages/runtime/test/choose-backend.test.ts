import { createWasmBackend } from '@phiblocks/backend-wasm';
import { describe, expect, it } from 'vitest';
import { chooseBackend, collect, createLanguageModel, createReferenceBackend } from '../src/index.ts';
import { openTinyCheckpoint } from './tiny-checkpoint.ts';

describe('choosing a backend', () => {
  it('auto is WebAssembly with the threads and options given, and the report says so', async () => {
    const backendOptions = { activations: 'f32', kvCache: 'f16' } as const;
    const model = await createLanguageModel(await openTinyCheckpoint(), {
      backend: 'auto',
      threads: 2,
      backendOptions,
    });
    const report = model.backendReport();
    expect(report).toMatchObject({ backend: 'wasm', threads: 2, chosenBy: 'auto' });
    expect(report.acceleration).toMatch(/simd/);
    expect(report.notes.join(' ')).toMatch(/float32 activations.*f16/);
    await model.dispose();
  });

  it('auto where WebAssembly does not work is the reference backend, and says why', async () => {
    const validate = WebAssembly.validate;
    WebAssembly.validate = () => false;
    try {
      const chosen = await chooseBackend({ backend: 'auto', threads: 2 });
      expect(chosen.report()).toMatchObject({ backend: 'reference', threads: 1, chosenBy: 'auto' });
      expect(chosen.report().notes[0]).toMatch(/^The reference backend runs, on one thread, because .*UNSUPPORTED/);
      await expect(chooseBackend({ backend: 'wasm' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    } finally {
      WebAssembly.validate = validate;
    }
  });

  it('without a name it is the reference backend', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint());
    expect(model.backendReport()).toMatchObject({ backend: 'reference', chosenBy: 'named', threads: 1 });
    await model.dispose();
  });

  it("leaves the caller's backend alone", async () => {
    const backend = createReferenceBackend();
    const model = await createLanguageModel(await openTinyCheckpoint(), { backend });
    expect(model.backendReport().chosenBy).toBe('given');
    await model.dispose();
    const step = backend.beginStep();
    expect(step.upload({ data: new Float32Array(1), shape: [1] }).shape).toEqual([1]);
    step.end();
  });

  it.each([
    ['an unknown name', { backend: 'gpu' as 'auto' }, 'ARGUMENT'],
    ['threads for the reference backend', { backend: 'reference', threads: 2 }, 'ARGUMENT'],
    ['options for the reference backend', { backend: 'reference', backendOptions: {} }, 'ARGUMENT'],
    ['threads for a GPU', { backend: 'webgpu', threads: 2 }, 'ARGUMENT'],
    ['options for a GPU', { backend: 'webgl2', backendOptions: {} }, 'ARGUMENT'],
    ['a GPU where there is none', { backend: 'webgpu' }, 'GPU_MODE_UNAVAILABLE'],
    ['WebGL2 where there is none', { backend: 'webgl2' }, 'GPU_MODE_UNAVAILABLE'],
    ['threads for a value', { backend: createReferenceBackend(), threads: 1 }, 'ARGUMENT'],
    ['no thread', { backend: 'auto', threads: 0 }, 'ARGUMENT'],
    [
      'an unknown option of the backend',
      { backend: 'auto', backendOptions: { cache: 'f16' } as object },
      'OPTION_UNKNOWN',
    ],
    ['an unknown option', { backends: 'auto' } as object, 'OPTION_UNKNOWN'],
  ] as const)('%s is an error', async (_, choice, code) => {
    await expect(chooseBackend(choice)).rejects.toMatchObject({ code });
  });

  it('disposes of what it made when the model cannot be loaded', async () => {
    const checkpoint = await openTinyCheckpoint();
    const workers: { ended: boolean }[] = [];
    const createWorker = () => {
      const worker = {
        ended: false,
        postMessage() {},
        on(event: string, listener: (value: unknown) => void) {
          if (event === 'message') queueMicrotask(() => listener(undefined));
        },
        terminate() {
          worker.ended = true;
        },
      };
      workers.push(worker);
      return worker;
    };
    const signal = AbortSignal.abort();
    const options = { backend: 'wasm', threads: 2, backendOptions: { createWorker }, signal } as const;
    await expect(createLanguageModel(checkpoint, options)).rejects.toThrow();
    expect(workers.map(({ ended }) => ended)).toEqual([true]);
  });
});

describe('on the WebAssembly backend', () => {
  const promptIds = [1, 40, 41, 42, 43];

  it('two sessions at once give the tokens of one after the other', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint(), { backend: 'wasm', threads: 2 });
    const prompts = [promptIds, [1, 60, 61, 62]];
    const alone: (readonly number[])[] = [];
    for (const ids of prompts) alone.push((await collect(model.generate({ promptIds: ids, maxNewTokens: 12 }))).ids);
    const atOnce = await Promise.all(
      prompts.map((ids) => collect(model.generate({ promptIds: ids, maxNewTokens: 12 }))),
    );
    expect(atOnce.map(({ ids }) => ids)).toEqual(alone);
    await model.dispose();
  });

  it('loading, generating and freeing leaves nothing behind', async () => {
    const backend = await createWasmBackend({ threads: 2 });
    const before = { handles: backend.liveHandles(), bytes: backend.usedMemoryInBytes() };
    for (let round = 0; round < 20; round++) {
      const model = await createLanguageModel(await openTinyCheckpoint(), { backend });
      await collect(model.generate({ promptIds, maxNewTokens: 3 }));
      const broken = model.generate({ promptIds, maxNewTokens: 3 });
      await broken.next();
      await broken.return();
      await model.dispose();
      expect({ handles: backend.liveHandles(), bytes: backend.usedMemoryInBytes() }).toEqual(before);
    }
    await backend.dispose();
  });
});
