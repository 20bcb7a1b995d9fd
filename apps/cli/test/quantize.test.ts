import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantizeMatrix } from '@phiblocks/quantization';
import { createSeededRandom, describeWithShared, sharedPath } from '@phiblocks/testing';
import { ggufMetadataOf, openGguf, parsePhi3Config } from '@phiblocks/weights';
import { openFileSource, openSafetensorsDirectory, writeGgufFile } from '@phiblocks/weights/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks quantize '));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a command line that cannot be meant', () => {
  it.each([
    ['an unknown format', ['--to', 'q3', '--out', 'a.gguf'], /USAGE --to takes q4_0/],
    ['neither file nor report', ['--to', 'q8_0'], /USAGE give --out, or --report/],
    ['blocks in safetensors', ['--to', 'q8_0', '--out', 'a'], /USAGE --to q8_0 needs --out NAME\.gguf/],
    ['two formats for one file', ['--to', 'q8_0,f16', '--out', 'a.gguf'], /USAGE --to takes one format/],
    ['a recipe of another format', ['--to', 'q8_0', '--recipe', 'q4_k_m', '--out', 'a.gguf'], /USAGE --recipe q4_k_m/],
    ['scales for floats', ['--to', 'f16', '--calibrate', 'a.txt', '--out', 'a.gguf'], /USAGE --calibrate chooses/],
    ['a text for nothing', ['--to', 'f16', '--text', 'a.txt', '--out', 'a.gguf'], /USAGE --text goes with --report/],
  ])('%s', async (_, args, message) => {
    const { status, stderr } = await runCli(['quantize', '--model', 'x', ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

/** A GGUF file of one large matrix, of which every format takes a while. */
async function writeEmbedding(name: string, rows = 40_000, change?: (values: Float32Array) => void): Promise<string> {
  const json = { model_type: 'phi3', hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1 };
  const sizes = { num_attention_heads: 4, vocab_size: rows, max_position_embeddings: 64 };
  const config = parsePhi3Config(new TextEncoder().encode(JSON.stringify({ ...json, ...sizes })));
  const values = new Float32Array(rows * 256);
  const period = createSeededRandom(1).normals(2 ** 16 + 256, 0.02);
  for (let at = 0; at < values.length; at += period.length) {
    values.set(period.subarray(0, Math.min(period.length, values.length - at)), at);
  }
  change?.(values);
  const bytes = new Uint8Array(values.buffer);
  const tensors = [{ name: 'token_embd.weight', format: 'F32', shape: [rows, 256], bytes }];
  const model = join(folder, name);
  await writeGgufFile(model, { ...ggufMetadataOf(config), tensors });
  return model;
}

it.each(['1', '2'])(
  'Ctrl-C in the middle of a tensor on %s threads ends with status 130 and leaves nothing',
  async (n) => {
    const model = await writeEmbedding(`embedding-${n}.gguf`);
    const there = await mkdtemp(join(folder, 'interrupted-'));
    let polling: NodeJS.Timeout | undefined;
    const to = ['--to', 'q4_k', '--recipe', 'uniform', '--threads', n, '--out', join(there, 'a.gguf')];
    const { status, stdout } = await runCli(['quantize', '--model', model, ...to], undefined, (child) => {
      polling = setInterval(() => {
        if (readdirSync(there).length > 0) {
          clearInterval(polling);
          child.kill('SIGINT');
        }
      }, 10);
    });
    clearInterval(polling);
    expect({ status, stdout }).toEqual({ status: 130, stdout: '' });
    expect(await readdir(there)).toEqual([]);
  },
  120_000,
);

it('writes the same bytes and measures the same error on 1, 2 and 5 threads', async () => {
  const model = await writeEmbedding('threads.gguf', 5000); // five pieces, the last a short one
  const written = new Set<string>();
  for (const n of ['1', '2', '5']) {
    const out = join(folder, `on-${n}.gguf`);
    const { status, stdout } = await runCli([
      ...['quantize', '--model', model, '--to', 'q4_k', '--recipe', 'uniform'],
      ...['--threads', n, '--out', out, '--json'],
    ]);
    expect(status).toBe(0);
    const digest = createHash('sha256')
      .update(await readFile(out))
      .digest('hex');
    written.add(`${digest} ${JSON.parse(stdout).models[0].rmse}`);
  }
  expect([...written]).toHaveLength(1);
}, 120_000);

it('names the first row that cannot be quantized, whichever thread finds one first', async () => {
  const model = await writeEmbedding('broken.gguf', 5000, (values) => {
    values[1030 * 256 + 7] = Number.NaN; // in the second piece, near its beginning
    values[900 * 256 + 3] = Number.POSITIVE_INFINITY; // late in the first piece
  });
  for (const n of ['1', '3']) {
    const out = join(folder, `broken-${n}.gguf`);
    const { status, stderr } = await runCli([
      'quantize',
      '--model',
      model,
      '--to',
      'q8_0',
      '--threads',
      n,
      '--out',
      out,
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^phiblocks: WEIGHT_NOT_FINITE .*row 900, column 3/m);
    expect(existsSync(out)).toBe(false);
  }
}, 120_000);

describeWithShared('on the trained model', 'models/stories260k-phi3', () => {
  const model = sharedPath('models/stories260k-phi3');
  const quantize = (...args: string[]) => runCli(['quantize', '--model', model, ...args]);
  const greedyIds = async (path: string) => {
    const { stdout } = await runCli(['generate', '--model', path, '--ids', '1', '--max-new-tokens', '40', '--json']);
    return JSON.parse(stdout).ids;
  };

  it('F32 and F16 as GGUF give the greedy tokens of the checkpoint', async () => {
    const expected = await greedyIds(model);
    for (const format of ['f32', 'f16']) {
      const out = join(folder, `${format}.gguf`);
      expect((await quantize('--to', format, '--out', out)).status).toBe(0);
      expect(await greedyIds(out)).toEqual(expected);
    }
  }, 60_000);

  it('stores llama.cpp’s bytes where rows divide, falls back by name where not, and keeps norms', async () => {
    const checkpoint = await openSafetensorsDirectory(model);
    for (const [to, format] of [
      ['q8_0', 'Q8_0'],
      ['q4_0', 'Q4_0'],
    ] as const) {
      const out = join(folder, `${to}.gguf`);
      const { status, stderr } = await quantize('--to', to, '--out', out);
      expect(status).toBe(0);
      expect(stderr).toContain(`blk.4.ffn_down.weight is F16, not ${format}: rows of 172 weights`);
      const gguf = await openGguf(await openFileSource(out));
      const floats = await checkpoint.readFloats('model.layers.2.self_attn.qkv_proj.weight');
      expect(gguf.tensors.get('blk.2.attn_qkv.weight')?.format).toBe(format);
      // quantizeMatrix is held against recorded bytes of llama.cpp in its own package.
      expect(await gguf.readBytes('blk.2.attn_qkv.weight')).toEqual(quantizeMatrix(floats, format).bytes);
      expect(gguf.tensors.get('blk.2.attn_norm.weight')?.format).toBe('F32');
      // llama.cpp would take "phi3" in a name for a published vocabulary and refuse this one.
      expect(gguf.metadata.getString('general.name')).toBe('stories260k-phi 3');
      await gguf.close();
    }
    await checkpoint.close();
  }, 60_000);

  it('--report: Q8_0 changes perplexity by less than half a percent, also on a given text', async () => {
    const text = JSON.parse(await readFile(join(model, 'case.json'), 'utf8')).published_greedy_text_from_bos;
    const file = join(folder, 'story.txt');
    await writeFile(file, text);
    for (const given of [[], ['--text', file]]) {
      const { status, stdout } = await quantize('--to', 'q8_0,q4_0', '--report', '--json', ...given);
      expect(status).toBe(0);
      const [source, q8, q4] = JSON.parse(stdout).report.rows;
      expect(Object.keys(q8)).toEqual(
        expect.arrayContaining(['format', 'sizeInBytes', 'rmse', 'perplexity', 'klDivergence', 'top1Agreement']),
      );
      expect(source).toMatchObject({ format: 'source (F32)', rmse: 0, klDivergence: 0, top1Agreement: 1 });
      expect(Math.abs(q8.perplexity / source.perplexity - 1)).toBeLessThan(0.005);
      expect(q4.rmse).toBeGreaterThan(q8.rmse);
      expect(q4.klDivergence).toBeGreaterThan(q8.klDivergence);
      expect(q4.sizeInBytes).toBeLessThan(q8.sizeInBytes);
    }
  }, 60_000);

  it('--calibrate weighs the search: less divergence on the text than without', async () => {
    const file = join(folder, 'calibration.txt');
    await writeFile(file, JSON.parse(await readFile(join(model, 'case.json'), 'utf8')).published_greedy_text_from_bos);
    const args = ['--to', 'q4_0', '--recipe', 'uniform', '--report', '--text', file, '--json'];
    const divergence = async (...more: string[]) =>
      JSON.parse((await quantize(...args, ...more)).stdout).report.rows[1].klDivergence;
    expect(await divergence('--calibrate', file)).toBeLessThan(await divergence());
  }, 60_000);

  it('writes a checkpoint directory for float formats, and reads a GGUF file as source', async () => {
    const out = join(folder, 'half');
    expect((await quantize('--to', 'bf16', '--out', out)).status).toBe(0);
    const written = await readdir(out);
    expect(written).toContain('tokenizer.json');
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8')).torch_dtype).toBe('bfloat16');
    const source = join(folder, 'from.gguf');
    await quantize('--to', 'f32', '--out', source);
    const again = join(folder, 'again.gguf');
    const from = ['quantize', '--model', source, '--to', 'q8_0'];
    expect((await runCli([...from, '--out', again])).status).toBe(0);
    await quantize('--to', 'q8_0', '--force', '--out', join(folder, 'direct.gguf'));
    expect((await readFile(again)).equals(await readFile(join(folder, 'direct.gguf')))).toBe(true);
    expect((await runCli(['quantize', '--model', source, '--to', 'f16', '--out', join(folder, 'no')])).status).toBe(2);
  }, 60_000);

  it('replaces a file only with --force, a directory never, and leaves nothing behind when it fails', async () => {
    const out = join(folder, 'taken.gguf');
    await writeFile(out, 'mine');
    expect((await quantize('--to', 'f16', '--out', out)).stderr).toMatch(/^phiblocks: FILE_EXISTS/);
    expect(await readFile(out, 'utf8')).toBe('mine');
    expect((await quantize('--to', 'f16', '--out', folder, '--force')).stderr).toMatch(/FILE_EXISTS/);
    expect((await quantize('--to', 'f16', '--out', out, '--force')).status).toBe(0);
    const before = await readdir(folder);
    const missing = join(folder, 'none', 'a.gguf');
    expect((await quantize('--to', 'f16', '--out', missing)).stderr).toMatch(/^phiblocks: FILE_NOT_FOUND/);
    expect(await readdir(folder)).toEqual(before);
  }, 60_000);
});
