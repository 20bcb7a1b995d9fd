import { readSharedFile } from '@phiblocks/testing/browser';
import { afterEach, describe, expect, it } from 'vitest';
import { collect, createPhi3Worker, type NamedBlob, type Phi3Worker } from '../../src/index.ts';

// A real worker in a real browser. What the protocol does with odd messages is tested in Node.

const folder = 'models/stories260k-phi3';
const caseBytes = await readSharedFile(`${folder}/case.json`);
const description = caseBytes && JSON.parse(new TextDecoder().decode(caseBytes));

async function storyFiles(): Promise<NamedBlob[]> {
  const names = [
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'model.safetensors',
  ];
  return Promise.all(
    names.map(async (name) => ({ name, blob: new Blob([(await readSharedFile(`${folder}/${name}`))!]) })),
  );
}

const opened: Phi3Worker[] = [];

async function start(): Promise<{ worker: Phi3Worker; raw: Worker }> {
  const raw = new Worker(new URL('./phi3.worker.ts', import.meta.url), { type: 'module' });
  const worker = await createPhi3Worker({ worker: raw });
  opened.push(worker);
  return { worker, raw };
}

afterEach(() => {
  for (const worker of opened.splice(0)) worker.dispose();
});

describe.skipIf(!description)('the trained model stories260k-phi3 in a worker', () => {
  it.each(['reference', 'wasm'] as const)('writes the published text on %s, from files', async (backend) => {
    const { worker } = await start();
    const model = await worker.loadModel({ files: await storyFiles() }, { backend });
    expect((await model.backendReport()).backend).toBe(backend);
    const maxNewTokens = description.cases[0].greedy_ids.length;
    const { text } = await collect(model.generate({ prompt: '', maxNewTokens }));
    expect(text).toBe(description.published_greedy_text_from_bos);
  });

  it('loads from the origin private file system', async () => {
    const root = await navigator.storage.getDirectory();
    const target = await root.getDirectoryHandle('stories', { create: true });
    for (const { name, blob } of await storyFiles()) {
      const stream = await (await target.getFileHandle(name, { create: true })).createWritable();
      await stream.write(blob);
      await stream.close();
    }
    const { worker } = await start();
    const model = await worker.loadModel({ opfs: 'stories' }, { backend: 'reference' });
    expect(model.config.numHiddenLayers).toBe(5);
    await expect(worker.loadModel({ opfs: 'nothing/here' })).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' });
    await root.removeEntry('stories', { recursive: true });
  });

  it('PF-05 a worker that is terminated behind its back is noticed in mid-generation', async () => {
    const { worker, raw } = await start();
    const model = await worker.loadModel({ files: await storyFiles() }, { backend: 'reference' });
    const generation = model.generate({ prompt: 'Once', maxNewTokens: 400 });
    await generation.next();
    const next = generation.next();
    raw.terminate();
    // Nothing but the lock tells: a terminated worker sends no event.
    await expect(worker.lost).rejects.toMatchObject({ code: 'WORKER_LOST' });
    await next.catch((error: unknown) => expect(error).toMatchObject({ code: 'WORKER_LOST' }));
    await expect(model.backendReport()).rejects.toMatchObject({ code: 'WORKER_LOST' });
  });
});

it('a worker file that is not there is WORKER_LOST', async () => {
  const worker = new Worker(new URL('/no-such-worker.js', location.href), { type: 'module' });
  await expect(createPhi3Worker({ worker })).rejects.toMatchObject({ code: 'WORKER_LOST' });
});
