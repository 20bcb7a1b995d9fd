import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ggufMetadataOf, parsePhi3Config } from '@phiblocks/weights';
import { writeGgufFile } from '@phiblocks/weights/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RowsToConvert } from '../src/quantize/convert-rows.ts';
import { openModelSource } from '../src/quantize/model-source.ts';
import { createRowConverters } from '../src/quantize/row-converters.ts';
import { parseTargets } from '../src/quantize/targets.ts';
import { writeModel } from '../src/quantize/write-model.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks workers '));
});
afterAll(() => rm(folder, { recursive: true }));

/** A thread that does as the text says instead of its work. */
async function script(name: string, onMessage: string): Promise<URL> {
  const path = join(folder, name);
  await writeFile(
    path,
    `import { parentPort } from 'node:worker_threads';\nparentPort.on('message', () => { ${onMessage} });\n`,
  );
  return pathToFileURL(path);
}

const rows = (): RowsToConvert => ({
  from: 'F32',
  to: 'Q8_0',
  columns: 32,
  firstRow: 0,
  source: new Uint8Array(128),
  importance: undefined,
});

describe('a thread that ends by itself', () => {
  it.each([
    ['exits', 'process.exit(3)', /exit status 3/],
    ['throws', "throw new Error('out of luck')", /out of luck/],
  ])('%s: WORKER_LOST, for what it was at and for what comes', async (name, onMessage, got) => {
    const workerUrl = await script(`${name}.mjs`, onMessage);
    const { converters, close } = createRowConverters({ threads: 2, signal: new AbortController().signal, workerUrl });
    const lost = expect.objectContaining({ code: 'WORKER_LOST', message: expect.stringMatching(got) });
    await expect(converters[0]!(rows())).rejects.toEqual(lost);
    await expect(converters[0]!(rows())).rejects.toEqual(lost);
    close();
  });

  it('leaves no partial file', async () => {
    const workerUrl = await script('dies.mjs', 'process.exit(1)');
    const { signal } = new AbortController();
    const { converters, close } = createRowConverters({ threads: 2, signal, workerUrl });
    const source = await openModelSource(await writeTwoPieces());
    const there = await mkdtemp(join(folder, 'out-'));
    const [target] = parseTargets('q8_0', undefined);
    const writing = writeModel(source, target!, join(there, 'a.gguf'), { importance: new Map(), signal, converters });
    await expect(writing).rejects.toMatchObject({ code: 'WORKER_LOST' });
    expect(await readdir(there)).toEqual([]);
    close();
    await source.close();
  });
});

/** A model of one matrix that is two pieces of work: one would not be given to a thread. */
async function writeTwoPieces(): Promise<string> {
  const json = { model_type: 'phi3', hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1 };
  const sizes = { num_attention_heads: 4, vocab_size: 2048, max_position_embeddings: 64 };
  const config = parsePhi3Config(new TextEncoder().encode(JSON.stringify({ ...json, ...sizes })));
  const bytes = new Uint8Array(2048 * 256 * 4);
  const path = join(folder, 'two-pieces.gguf');
  const tensors = [{ name: 'token_embd.weight', format: 'F32', shape: [2048, 256], bytes }];
  await writeGgufFile(path, { ...ggufMetadataOf(config), tensors });
  return path;
}

it('an abort ends threads in the middle of a row, with the reason of the signal', async () => {
  const workerUrl = await script('never.mjs', 'for (;;);');
  const controller = new AbortController();
  const { converters, close } = createRowConverters({ threads: 2, signal: controller.signal, workerUrl });
  const reason = new Error('enough');
  const work = Promise.allSettled(converters.map((convert) => convert(rows())));
  controller.abort(reason);
  for (const settled of await work) expect(settled).toEqual({ status: 'rejected', reason });
  await expect(converters[1]!(rows())).rejects.toBe(reason);
  close();
});
