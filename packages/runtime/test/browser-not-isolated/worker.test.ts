import { readSharedFile } from '@phiblocks/testing/browser';
import { afterEach, describe, expect, it } from 'vitest';
import { collect, createPhi3Worker, type NamedBlob, type Phi3Worker } from '../../src/index.ts';

// A host that cannot set the isolation headers, and a browser without an adapter for WebGPU.

const folder = 'models/stories260k-phi3';
const names = ['config.json', 'tokenizer.json', 'model.safetensors'];
const files: NamedBlob[] = [];
for (const name of names) {
  const bytes = await readSharedFile(`${folder}/${name}`);
  if (bytes) files.push({ name, blob: new Blob([bytes]) });
}

const opened: Phi3Worker[] = [];
afterEach(() => {
  for (const worker of opened.splice(0)) worker.dispose();
});

async function start(): Promise<Phi3Worker> {
  // In one expression: Vite finds workers by it.
  const raw = new Worker(new URL('../browser/phi3.worker.ts', import.meta.url), { type: 'module' });
  const worker = await createPhi3Worker({ worker: raw });
  opened.push(worker);
  return worker;
}

describe.skipIf(files.length < names.length)('a worker in a page that is not isolated', () => {
  it('PF-01 runs on one thread, and the report says why', async () => {
    const worker = await start();
    const model = await worker.loadModel({ files }, { backend: 'wasm', threads: 2 });
    const report = await model.backendReport();
    expect(report).toMatchObject({ backend: 'wasm', threads: 1 });
    expect(report.notes.join(' ')).toMatch(/One thread instead of 2: .*cross-origin isolated/);
    expect((await collect(model.generate({ prompt: 'Once', maxNewTokens: 5 }))).ids).toHaveLength(5);
  });

  it('PF-09, PF-17 WebGPU without an adapter is an error that says so, and nothing else runs in its place', async () => {
    const worker = await start();
    await expect(worker.loadModel({ files }, { backend: 'webgpu' })).rejects.toMatchObject({
      code: 'GPU_MODE_UNAVAILABLE',
      message: expect.stringMatching(/adapter|WebGPU/),
    });
    // The worker is as good as before.
    const model = await worker.loadModel({ files }, { backend: 'webgl2' });
    expect((await model.backendReport()).backend).toBe('webgl2');
  });
});
