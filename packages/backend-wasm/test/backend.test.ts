import { createSeededRandom } from '@phiblocks/testing';
import { createWeightMatrix } from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import { createWasmBackend, type WasmBackend, type WorkerLike } from '../src/index.ts';
import { createTestWorker } from './test-worker.ts';

/** Random blocks with float16 scales near 2^-8 at the start of each block. */
function randomQ4(seed: number, rows: number, columns: number) {
  const random = createSeededRandom(seed);
  const bytes = new Uint8Array((rows * columns * 18) / 32);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(256);
  for (let block = 0; block < bytes.length; block += 18) bytes[block + 1] = 0x1c | (random.integer(2) << 7);
  return createWeightMatrix('Q4_0', [rows, columns], bytes);
}

async function smallPass(backend: WasmBackend): Promise<Float32Array[]> {
  const random = createSeededRandom(1);
  const results: Float32Array[] = [];
  const weight = backend.uploadWeight(randomQ4(2, 3 * 256, 256));
  const down = backend.uploadWeight(randomQ4(3, 256, 256));
  const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 4, headDim: 64 });
  const norm = backend.upload({ data: random.normals(256), shape: [256] });
  for (const tokens of [70, 1, 1, 3]) {
    const step = backend.beginStep();
    const x = step.upload({ data: random.normals(tokens * 256), shape: [tokens, 256] });
    const qkv = step.linear(step.rmsNorm(x, norm, 1e-5), weight);
    const [q, k, v] = [0, 256, 512].map((start) => step.columns(qkv, start, 256));
    step.appendToCache(cache, 0, k!, v!);
    const attended = step.attention(q!, cache, 0, { scale: 0.125 });
    const hidden = step.add(x, step.linear(attended, down));
    const gated = step.gatedActivation(step.linear(hidden, weight), 'swiglu');
    results.push((await backend.read(hidden)).data, (await backend.read(gated)).data);
    step.commit(cache, tokens);
    step.end();
  }
  return results;
}

describe('createWasmBackend', () => {
  it.each(['relaxed', 'simd', 'none'] as const)(
    '%s: results do not depend on the number of threads, to the bit',
    async (simd) => {
      const one = await createWasmBackend({ threads: 1, simd });
      const expected = await smallPass(one);
      await one.dispose();
      for (const threads of [2, 3, 5]) {
        const several = await createWasmBackend({ threads, simd, createWorker: createTestWorker });
        expect(await smallPass(several)).toEqual(expected);
        await several.dispose();
      }
    },
  );

  it('reports what runs', async () => {
    const backend = await createWasmBackend({
      threads: 2,
      simd: 'simd',
      kvCache: 'q8',
      createWorker: createTestWorker,
    });
    const report = backend.report();
    expect(report).toMatchObject({ backend: 'wasm', threads: 2, acceleration: 'simd', fallbacks: {} });
    expect(report.notes.join(' ')).toMatch(/int8.*q8/);
    await backend.dispose();
  });

  it('integer products without SIMD have the bits of plain SIMD', async () => {
    const outputs: Float32Array[][] = [];
    for (const simd of ['simd', 'none'] as const) {
      const backend = await createWasmBackend({ threads: 1, simd });
      const random = createSeededRandom(9);
      const step = backend.beginStep();
      const weight = backend.uploadWeight(randomQ4(8, 40, 96));
      const results = [];
      for (const tokens of [1, 6]) {
        const x = step.upload({ data: random.normals(tokens * 96), shape: [tokens, 96] });
        results.push((await backend.read(step.linear(x, weight))).data);
      }
      outputs.push(results);
      expect(backend.report().acceleration).toBe(simd);
      await backend.dispose();
    }
    expect(outputs[1]).toEqual(outputs[0]);
  });

  it('where there is no SIMD it does without, and says so; a name insists', async () => {
    const validate = WebAssembly.validate;
    // The kernels with SIMD are several times as long as those without.
    WebAssembly.validate = (bytes) => bytes.byteLength < 25_000 && validate(bytes);
    try {
      const backend = await createWasmBackend({ threads: 2, createWorker: createTestWorker });
      expect(backend.report()).toMatchObject({ acceleration: 'none', threads: 2 });
      expect(backend.report().notes.join(' ')).toMatch(/no SIMD/);
      await smallPass(backend);
      await backend.dispose();
      await expect(createWasmBackend({ simd: 'simd' })).rejects.toThrow(/^UNSUPPORTED/);
    } finally {
      WebAssembly.validate = validate;
    }
  });

  it('takes one thread and says why where memory cannot be shared', async () => {
    const shared = globalThis.SharedArrayBuffer;
    Reflect.deleteProperty(globalThis, 'SharedArrayBuffer');
    try {
      const backend = await createWasmBackend({ threads: 4 });
      expect(backend.report().threads).toBe(1);
      expect(backend.report().notes[0]).toMatch(/^One thread instead of 4: .*cross-origin isolated/);
      await smallPass(backend);
      await backend.dispose();
    } finally {
      globalThis.SharedArrayBuffer = shared;
    }
  });

  it('rejects options it does not know and values it cannot use', async () => {
    await expect(createWasmBackend({ thread: 2 } as object)).rejects.toThrow(/^OPTION_UNKNOWN/);
    await expect(createWasmBackend({ threads: 0 })).rejects.toThrow(/^ARGUMENT.*threads/);
    await expect(createWasmBackend({ kvCache: 'q4' as 'q8' })).rejects.toThrow(/^ARGUMENT.*kvCache/);
  });

  it('a worker that was killed is a typed error, and another backend works', async () => {
    const workers: WorkerLike[] = [];
    const backend = await createWasmBackend({
      threads: 2,
      createWorker: () => {
        const worker = createTestWorker();
        workers.push(worker);
        return worker;
      },
    });
    await smallPass(backend);
    // Not awaited: the event of its end cannot arrive before the next operation waits for it.
    void workers[0]!.terminate();
    const started = performance.now();
    await expect(smallPass(backend)).rejects.toThrow(/^WORKER_LOST.*worker 1 ended/);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(backend.report().notes.join(' ')).toMatch(/Out of order/);
    await backend.dispose();
    const next = await createWasmBackend({ threads: 2, createWorker: createTestWorker });
    await smallPass(next);
    await next.dispose();
  });

  it('a worker that falls silent is lost too, in seconds', async () => {
    // As in a browser: nothing tells that a worker was terminated.
    const createWorker = () => {
      const worker = createTestWorker();
      return {
        on: (event: string, listener: (value: unknown) => void) =>
          void (event === 'message' && worker.on(event, listener).once(event, () => void worker.terminate())),
        postMessage: (message: unknown) => worker.postMessage(message),
        terminate: () => worker.terminate(),
      };
    };
    const backend = await createWasmBackend({ threads: 2, createWorker });
    const started = performance.now();
    await expect(smallPass(backend)).rejects.toThrow(/^WORKER_LOST.*stopped answering/);
    expect(performance.now() - started).toBeLessThan(20_000);
    await backend.dispose();
  });

  it('a worker that cannot start is a typed error', async () => {
    const createWorker = () => {
      const worker = createTestWorker();
      void worker.terminate();
      return worker;
    };
    await expect(createWasmBackend({ threads: 2, createWorker })).rejects.toThrow(/^WORKER_LOST/);
  });

  it('a matrix with infinite or NaN scales keeps them', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const matrix = randomQ4(5, 3, 32);
    matrix.bytes[18] = 0;
    matrix.bytes[19] = 0x7c;
    matrix.bytes[36] = 1;
    matrix.bytes[37] = 0x7c;
    const step = backend.beginStep();
    const ones = step.upload({ data: new Float32Array(32).fill(1), shape: [1, 32] });
    const { data } = await backend.read(step.linear(ones, backend.uploadWeight(matrix)));
    expect([...data].map(Number.isFinite)).toEqual([true, false, false]);
    await backend.dispose();
  });

  it('NaN among activations and keys reaches the result', async () => {
    const backend = await createWasmBackend({ threads: 1, kvCache: 'q8' });
    const step = backend.beginStep();
    const x = { data: new Float32Array(64).fill(1), shape: [2, 32] };
    x.data[40] = Number.NaN;
    const { data } = await backend.read(step.linear(step.upload(x), backend.uploadWeight(randomQ4(6, 2, 32))));
    expect([...data].map(Number.isNaN)).toEqual([false, false, true, true]);
    const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 32 });
    const rows = step.upload(x);
    step.appendToCache(cache, 0, rows, rows);
    const attended = await backend.read(step.attention(rows, cache, 0, { scale: 1 }));
    expect(Number.isNaN(attended.data[32]!)).toBe(true);
    await backend.dispose();
  });

  it('frees what it takes: the same memory serves twenty models', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const before = backend.usedMemoryInBytes();
    for (let round = 0; round < 20; round++) {
      const weights = [1, 2, 3].map((seed) => backend.uploadWeight(randomQ4(seed, 64, 256)));
      const cache = backend.createCache({ numLayers: 2, numKeyValueHeads: 2, headDim: 32 });
      const step = backend.beginStep();
      const rows = step.upload({ data: new Float32Array(64 * 300), shape: [300, 64] });
      for (const layer of [0, 1]) step.appendToCache(cache, layer, rows, rows);
      step.commit(cache, 300);
      expect(cache.sizeInBytes).toBe(2 * 512 * 2 * 64 * 4);
      step.end();
      for (const weight of weights) backend.free(weight);
      backend.free(cache);
    }
    expect(backend.usedMemoryInBytes()).toBe(before);
    expect(backend.liveHandles()).toBe(0);
    await backend.dispose();
  });
});
