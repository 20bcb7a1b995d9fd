import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openGguf } from '@phiblocks/weights';
import { openFileSource } from '@phiblocks/weights/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';
import { runMakeCheckpoint } from './run-make-checkpoint.ts';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-bench-'));
  model = join(folder, 'tiny.gguf');
  await runMakeCheckpoint(['--shape', 'tiny', '--format', 'q4_0', '--out', model]);
});
afterAll(() => rm(folder, { recursive: true }));

const blockFormats = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q4_k', 'q5_k', 'q6_k'];

describe('tools/synthetic/make-checkpoint.mjs', () => {
  it.each(['f32', 'f16', 'bf16', ...blockFormats])('a GGUF file of %s is finite, and generates', async (format) => {
    const out = join(folder, `${format}.gguf`);
    await runMakeCheckpoint(['--shape', 'tiny', '--format', format, '--out', out]);
    const gguf = await openGguf(await openFileSource(out));
    for (const name of gguf.tensors.keys()) {
      const { data } = await gguf.readFloats(name);
      expect(data.every(Number.isFinite), name).toBe(true);
      // A value of about 1 / sqrt(columns) per weight; embeddings and norms about 1.
      const rootMeanSquare = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);
      const columns = gguf.tensors.get(name)!.shape.at(-1)!;
      const expected = name === 'token_embd.weight' || data.length === columns ? 1 : 1 / Math.sqrt(columns);
      expect(rootMeanSquare / expected, name).toBeGreaterThan(0.5);
      expect(rootMeanSquare / expected, name).toBeLessThan(2);
    }
    await gguf.close();
    const args = [
      'generate',
      '--model',
      out,
      '--prompt',
      'hello there',
      '--max-new-tokens',
      '4',
      '--json',
      '--ignore-eos',
    ];
    const { status, stdout } = await runCli(args);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).ids).toHaveLength(4);
  });

  it('the seed decides every byte', async () => {
    const bytesOf = async (seed: string): Promise<Buffer> => {
      const out = join(folder, 'seeded.gguf');
      await runMakeCheckpoint(['--shape', 'tiny', '--format', 'q6_k', '--out', out, '--seed', seed]);
      return readFile(out);
    };
    const [one, again, two] = [await bytesOf('1'), await bytesOf('1'), await bytesOf('2')];
    expect(one.equals(again)).toBe(true);
    expect(one.equals(two)).toBe(false);
  });

  it('a directory has the text and the numbers of the GGUF file', async () => {
    const out = join(folder, 'tiny');
    await runMakeCheckpoint(['--shape', 'tiny', '--format', 'f32', '--out', out]);
    const files = await readdir(out);
    expect(files.sort()).toEqual([
      'config.json',
      'model-00001-of-00001.safetensors',
      'model.safetensors.index.json',
      'tokenizer.json',
    ]);
    const gguf = join(folder, 'same.gguf');
    await runMakeCheckpoint(['--shape', 'tiny', '--format', 'f32', '--out', gguf]);
    const generate = async (path: string) =>
      JSON.parse(
        (await runCli(['generate', '--model', path, '--ids', '1,300,301', '--max-new-tokens', '8', '--json'])).stdout,
      );
    expect((await generate(out)).ids).toEqual((await generate(gguf)).ids);
  });

  it.each([
    [['--shape', 'huge', '--format', 'q4_0', '--out', 'x.gguf'], /--shape must be one of phi-3-mini/],
    [['--shape', 'tiny', '--format', 'q4_0', '--out', 'x'], /--format of a directory must be one of F32, F16, BF16/],
    [['--shape', 'tiny', '--format', 'q4_0', '--out', 'x.gguf', '--seed', '-1'], /Option '--seed'|--seed must be/],
    [['--shape', 'tiny'], /needed/],
  ])('%j is an error', async (args, message) => {
    await expect(runMakeCheckpoint(args)).rejects.toThrow(message);
  });
});

describe('bench', () => {
  const sizes = ['--prompt-tokens', '20', '--decode-tokens', '4', '--context', '8'];
  const run = async (more: string[]) => {
    const { status, stdout, stderr } = await runCli(['bench', '--model', model, ...sizes, ...more]);
    expect({ status, stderr: stderr.replace(/^phiblocks: a GGUF file .*\n/gm, '') }).toEqual({
      status: 0,
      stderr: '',
    });
    return stdout;
  };

  it('--json prints one object with every field, on WebAssembly', async () => {
    const stdout = await run(['--json', '--backend', 'wasm', '--threads', '2']);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const result = JSON.parse(stdout);
    expect(Object.keys(result)).toEqual([
      'model',
      'backend',
      'simd',
      'threads',
      'prefillTokensPerSecond',
      'decodeTokensPerSecond',
      'loadSeconds',
      'firstTokenSeconds',
      'peakMemoryMb',
      'bandwidthGbPerSecond',
      'shareOfBandwidth',
      'kvCache',
      'weightBytesPerToken',
      'cacheBytesPerToken',
    ]);
    expect(result).toMatchObject({ model: 'tiny.gguf', backend: 'wasm', threads: 2 });
    expect(result.simd).toMatch(/simd$/);
    expect(result.kvCache).toBe('f32');
    for (const name of Object.keys(result).slice(4))
      if (name !== 'kvCache') expect(result[name], name).toBeGreaterThan(0);
    expect(result.firstTokenSeconds).toBeGreaterThanOrEqual(result.loadSeconds);
    expect(result.shareOfBandwidth).toBeLessThan(1);
  });

  it('says null where the backend cannot tell, and has a table for people', async () => {
    const result = JSON.parse(await run(['--json', '--backend', 'reference']));
    expect(result).toMatchObject({
      backend: 'reference',
      simd: null,
      threads: 1,
      bandwidthGbPerSecond: null,
      shareOfBandwidth: null,
    });
    expect(await run(['--threads', '1'])).toMatch(
      /^model +tiny\.gguf\nbackend +wasm, .*1 thread.*bandwidth +.* GB\/s/s,
    );
  });

  it('--kv-cache decides how keys and values are stored, and what they cost to read', async () => {
    const bytesOf = async (format: string) => {
      const result = JSON.parse(await run(['--json', '--threads', '1', '--kv-cache', format]));
      expect(result.kvCache).toBe(format);
      return result.cacheBytesPerToken as number;
    };
    const [f32, f16, q8] = [await bytesOf('f32'), await bytesOf('f16'), await bytesOf('q8')];
    expect(f16).toBe(f32 / 2);
    expect(q8).toBeGreaterThan(f32 / 4);
    expect(q8).toBeLessThan(f16);
    const refused = await runCli(['bench', '--model', model, ...sizes, '--backend', 'reference', '--kv-cache', 'q8']);
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('--kv-cache q8 needs --backend wasm') });
  });

  it('a context beyond the model is an error with its code', async () => {
    const { status, stderr } = await runCli(['bench', '--model', model, '--context', '300']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/phiblocks: CTX_OVERFLOW/);
  });
});
