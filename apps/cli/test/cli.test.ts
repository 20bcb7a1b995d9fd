import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, expectClose, loadGolden, sharedPath } from '@phiblocks/testing';
import { createByteSource, openSafetensors } from '@phiblocks/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks cli ')); // a space in the path is part of the test
});
afterAll(() => rm(folder, { recursive: true }));

describe('a command line that cannot be meant', () => {
  it.each([
    ['no command', ['--wrong'], /^phiblocks: USAGE unknown option '--wrong'/],
    ['an unknown command', ['generat'], /^phiblocks: USAGE unknown command 'generat' \(Did you mean generate\?\)/],
    ['no model', ['generate', '--prompt', 'a'], /^phiblocks: USAGE required option '--model <path>'/],
    ['no prompt', ['generate', '--model', 'x'], /^phiblocks: USAGE give exactly one of --prompt, --ids and --chat/],
    ['two prompts', ['generate', '--model', 'x', '--prompt', 'a', '--ids', '1'], /^phiblocks: USAGE give exactly one/],
    ['ids that are none', ['generate', '--model', 'x', '--ids', '1,b'], /^phiblocks: USAGE .*--ids.*1,2,3/],
    ['half a token', ['generate', '--model', 'x', '--ids', '1', '--max-new-tokens', '1.5'], /USAGE .*max-new-tokens/],
    [
      'a negative temperature',
      ['generate', '--model', 'x', '--ids', '1', '--temperature', '-1'],
      /USAGE .*temperature/,
    ],
    ['a probability above 1', ['generate', '--model', 'x', '--ids', '1', '--top-p', '1.1'], /USAGE .*top-p/],
    [
      'an unknown backend',
      ['generate', '--model', 'x', '--ids', '1', '--backend', 'gpu'],
      /USAGE .*backend.*reference/,
    ],
    [
      'guesses with sampling',
      ['generate', '--model', 'x', '--ids', '1', '--prompt-lookup', '--temperature', '1'],
      /USAGE --prompt-lookup goes with greedy/,
    ],
    ['too many threads', ['generate', '--model', 'x', '--ids', '1', '--threads', '33'], /USAGE .*threads/],
    ['an unknown option', ['tokenize', '--model', 'x', '--text', 'a', '--jsno'], /USAGE unknown option '--jsno'/],
    ['text and file', ['tokenize', '--model', 'x', '--text', 'a', '--file', 'b'], /USAGE give exactly one of --text/],
    ['no output', ['logits', '--model', 'x', '--ids', '1'], /USAGE required option '--out <file>'/],
    ['logits of nothing', ['logits', '--model', 'x', '--out', 'y'], /USAGE give exactly one of --prompt and --ids/],
    ['an image without a number', ['generate', '--model', 'x', '--ids', '1,image,2'], /USAGE .*--ids.*image:1/],
    ['image 0', ['generate', '--model', 'x', '--ids', '1,image:0'], /USAGE .*--ids.*image:1/],
  ])('%s: one line on standard error and status 2', async (_, args, message) => {
    const { status, stdout, stderr } = await runCli(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('what goes wrong at work', () => {
  it.each([
    ['nothing at the path', ['inspect', '--model', 'no/such/model'], 'CHECKPOINT_NOT_FOUND'],
    ['an empty folder', ['inspect', '--model', '.'], 'CHECKPOINT_FILE_MISSING'],
    ['a file that is no GGUF', ['inspect', '--model', 'notes.gguf'], 'GG_'],
    ['a tokenizer that is none', ['tokenize', '--model', 'tokenizer.json', '--text', 'a'], 'TK_'],
  ])('%s: one line with the code and status 1', async (_, args, code) => {
    await writeFile(join(folder, 'notes.gguf'), 'these are notes, and long enough for a header');
    await writeFile(join(folder, 'tokenizer.json'), '{}');
    const there = args.map((value) => (value === '.' || value.includes('.') ? join(folder, value) : value));
    const { status, stdout, stderr } = await runCli(there);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^phiblocks: ${code}`));
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('help and version are no errors', async () => {
    expect((await runCli(['--help'])).stdout).toMatch(/generate.*logits.*tokenize.*detokenize.*inspect/s);
    expect(await runCli(['--version'])).toMatchObject({ status: 0, stderr: '' });
    expect(await runCli(['generate', '--help'])).toMatchObject({ status: 0, stderr: '' });
  });
});

describeWithShared('on the trained model', 'models/stories260k-phi3', () => {
  const model = sharedPath('models/stories260k-phi3');
  const published = async (): Promise<string> =>
    JSON.parse(await readFile(join(model, 'case.json'), 'utf8')).published_greedy_text_from_bos;

  it('generate streams the published text', async () => {
    const { status, stdout, stderr } = await runCli([
      'generate',
      '--model',
      model,
      '--ids',
      '1',
      '--max-new-tokens',
      '60',
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const text = stdout.trimEnd();
    expect(text.length).toBeGreaterThan(100);
    expect((await published()).startsWith(text)).toBe(true);
  });

  it('generate --json prints one object and nothing else', async () => {
    const args = ['generate', '--model', model, '--prompt', 'Once upon a time', '--max-new-tokens', '5', '--json'];
    const { status, stdout } = await runCli(args);
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const result = JSON.parse(stdout);
    expect(Object.keys(result)).toEqual(['promptIds', 'ids', 'text', 'finishReason', 'usage', 'timings']);
    expect(result.promptIds[0]).toBe(1);
    expect(result.ids).toHaveLength(5);
    expect(result.finishReason).toBe('length');
    expect(result.usage).toEqual({ promptTokens: 5, cachedPromptTokens: 0, completionTokens: 5, totalTokens: 10 });
  });

  it('--ids is taken as it is; --stop, --seed and --temperature do what they say', async () => {
    const base = ['generate', '--model', model, '--json', '--max-new-tokens', '12'];
    const plain = JSON.parse((await runCli([...base, '--ids', '403,407'])).stdout);
    expect(plain.promptIds).toEqual([403, 407]);
    const stopped = JSON.parse((await runCli([...base, '--ids', '1', '--stop', 'time'])).stdout);
    expect(stopped).toMatchObject({ text: 'Once upon a ', finishReason: 'stop' });
    const sampled = [...base, '--ids', '1', '--temperature', '1.2', '--top-p', '0.95', '--seed', '7'];
    const [one, two] = [await runCli(sampled), await runCli(sampled)];
    expect(JSON.parse(one.stdout).ids).toEqual(JSON.parse(two.stdout).ids);
  });

  it('--backend, --threads, --prompt-lookup: the same text, and --verbose says what computes', async () => {
    const base = ['generate', '--model', model, '--ids', '1', '--max-new-tokens', '60'];
    const expected = (await runCli([...base, '--backend', 'reference'])).stdout;
    const wasm = await runCli([...base, '--threads', '2', '--verbose']);
    expect(wasm.stdout).toBe(expected);
    expect(wasm.stderr).toMatch(/^phiblocks: Computing on wasm \((relaxed-)?simd, 2 threads\)\./);
    const lookup = await runCli([...base, '--backend', 'wasm', '--threads', '1', '--prompt-lookup', '--verbose']);
    expect(lookup.stdout).toBe(expected);
    expect(lookup.stderr).toMatch(/^phiblocks: Computing on wasm \(.*, 1 thread\)\./);
    const reference = await runCli([...base, '--backend', 'reference', '--threads', '2', '--verbose']);
    expect(reference.stderr).toMatch(
      /--threads 2 makes no difference\nphiblocks: Computing on reference \(1 thread\)\./,
    );
  });

  it('chat on a model without a chat format is an error that says so', async () => {
    const { status, stderr } = await runCli(['generate', '--model', model, '--chat', 'Hello']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^phiblocks: CHAT_TEMPLATE_MISSING/);
  });

  it('Ctrl-C ends cleanly with the text so far', async () => {
    const args = ['generate', '--model', model, '--ids', '1', '--max-new-tokens', '500', '--ignore-eos'];
    let sent = false;
    const { status, stdout } = await runCli(args, (child, text) => {
      if (text.length <= 40 || sent) return;
      sent = true; // a second one would end the process at once
      child.kill('SIGINT');
    });
    expect(status).toBe(130);
    expect(stdout.endsWith('\n')).toBe(true);
    expect((await published()).startsWith(stdout.trimEnd().slice(0, 40))).toBe(true);
    expect(stdout.length).toBeLessThan(2500);
  });

  it('a reader that goes away is no error', async () => {
    const { stderr } = await runCli(
      ['generate', '--model', model, '--ids', '1', '--max-new-tokens', '300', '--ignore-eos'],
      (child) => child.stdout!.destroy(),
    );
    expect(stderr).toBe('');
  });

  it('tokenize and detokenize', async () => {
    const tokenized = await runCli(['tokenize', '--model', model, '--text', 'Once upon a time', '--json']);
    expect(JSON.parse(tokenized.stdout).ids).toEqual([1, 403, 407, 261, 378]);
    const plain = await runCli(['tokenize', '--model', model, '--text', '<s>Once', '--no-special', '--json']);
    expect(JSON.parse(plain.stdout).ids).not.toContain(1);
    const text = await runCli([
      'detokenize',
      '--model',
      join(model, 'tokenizer.json'),
      '--ids',
      '403,407,261,378',
      '--json',
    ]);
    expect(JSON.parse(text.stdout)).toEqual({ text: 'Once upon a time' });
    await writeFile(join(folder, 'text.txt'), 'Once upon a time');
    const fromFile = await runCli(['tokenize', '--model', model, '--file', join(folder, 'text.txt'), '--json']);
    expect(fromFile.stdout).toBe(tokenized.stdout);
  });

  it('inspect tells what is in it', async () => {
    const { status, stdout } = await runCli(['inspect', '--model', model, '--json', '--tensors', '--context', '100']);
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    // 260 thousand parameters; 2 · 5 layers · 4 heads · 8 components · 4 bytes.
    expect(report).toMatchObject({ modelType: 'phi3', member: null, parameters: 260032, hiddenSize: 64 });
    expect(report.cacheBytesPerToken).toEqual({ float32: 1280, float16: 640 });
    expect(report.memory).toMatchObject({ contextLength: 100, cacheInBytes: 128000, weightsInBytes: 260032 * 4 });
    expect(report.tensors).toHaveLength(5 * 6 + 2);
    const readable = await runCli(['inspect', '--model', model]);
    expect(readable.stdout).toMatch(/^checkpoint {4}stories260k-phi3 \(safetensors\)\n/);
  });
});

describeWithShared('logits', 'goldens/phi3-gqa4-a', () => {
  it('writes logits and hidden states that equal the golden ones', async () => {
    const golden = loadGolden('phi3-gqa4-a');
    const out = join(folder, 'logits.safetensors');
    const ids = golden.tensor('main/input_ids').data.join(',');
    const result = await runCli(['logits', '--model', golden.path, '--ids', ids, '--out', out, '--hidden']);
    expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
    const source = await openSafetensors(createByteSource(new Uint8Array(await readFile(out)), 'logits.safetensors'));
    expect([...source.tensors.keys()].sort()).toEqual(['hidden.0', 'hidden.1', 'hidden.2', 'hidden.3', 'logits']);
    const logits = await source.readFloats('logits');
    const expected = golden.tensor('main/logits');
    expect(logits.shape).toEqual(expected.shape);
    expectClose(logits.data, expected.data, { absolute: expected.tolerance, reason: 'tolerance of case.json' });
    const hidden = golden.tensor('main/hidden_states');
    const size = hidden.data.length / 4;
    for (let layer = 0; layer < 4; layer++) {
      const { data } = await source.readFloats(`hidden.${layer}`);
      const rows = hidden.data.subarray(layer * size, (layer + 1) * size);
      expectClose(data, rows, { absolute: hidden.tolerance, reason: 'tolerance of case.json' }, `hidden.${layer}`);
    }
  });
});

describeWithShared('the whole family', 'goldens', () => {
  const golden = (name: string) => sharedPath('goldens', name);

  it.each([
    ['phi3small-8k-a', 'main'],
    ['phimoe-16experts-a', 'main'],
  ])('generate on %s writes the golden tokens', async (name, run) => {
    const { tensor, path } = loadGolden(name);
    const ids = tensor(`${run}/input_ids`).data.join(',');
    const args = ['generate', '--model', path, '--ids', ids, '--max-new-tokens', '16', '--ignore-eos', '--json'];
    const { stdout } = await runCli(args);
    expect(JSON.parse(stdout).ids).toEqual([...tensor(`${run}/greedy_ids`).data]);
  });

  it('generate with two images writes the golden tokens', async () => {
    const { tensor, path } = loadGolden('phi3v-two-images-a');
    const images = ['image_1.png', 'image_2.png'].flatMap((file) => ['--image', join(path, file)]);
    const ids = '1,137,8,117,image:1,1,45,177,63,114,image:2,1,111,165,157,160,165';
    const rest = ['--ids', ids, '--max-new-tokens', '16', '--ignore-eos', '--json'];
    const { stdout } = await runCli(['generate', '--model', path, ...images, ...rest]);
    const result = JSON.parse(stdout);
    expect(result.promptIds).toEqual([...tensor('input_ids').data]);
    expect(result.ids).toEqual([...tensor('greedy_ids').data]);
  });

  it('logits with an image equal the golden ones', async () => {
    const { tensor, path } = loadGolden('phi3v-square-a');
    const out = join(folder, 'image.safetensors');
    const ids = '1,82,43,195,109,image:1,1,106,20,159,156,76';
    const image = ['--image', join(path, 'image_1.png')];
    const result = await runCli(['logits', '--model', path, ...image, '--ids', ids, '--out', out]);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status: 0, stdout: '' });
    const source = await openSafetensors(createByteSource(new Uint8Array(await readFile(out)), 'image.safetensors'));
    const { data } = await source.readFloats('logits');
    const expected = tensor('logits');
    const width = expected.shape[1]!;
    const rows = [...tensor('positions').data].flatMap((row) => [...data.subarray(row * width, (row + 1) * width)]);
    expectClose(rows, expected.data, { absolute: expected.tolerance, reason: 'tolerance of case.json' });
  });

  it.each([
    ['an image too few', ['--ids', '1,image:1', '--image', 'image_1.png', '--image', 'image_1.png'], 'IM_COUNT'],
    ['an image too many', ['--ids', '1,image:1,image:2', '--image', 'image_1.png'], 'IM_COUNT'],
    [
      'images in another order',
      ['--ids', '1,image:2,image:1', '--image', 'image_1.png', '--image', 'image_1.png'],
      'IM_P',
    ],
    ['a file that is no image', ['--ids', '1,image:1', '--image', 'config.json'], 'IM_FORMAT'],
    ['a file that is not there', ['--ids', '1,image:1', '--image', 'none.png'], 'ENOENT'],
  ])('%s: one line with the code and status 1', async (_, args, code) => {
    const model = golden('phi3v-square-a');
    const there = args.map((value) => (/\.(png|json)$/.test(value) ? join(model, value) : value));
    const { status, stdout, stderr } = await runCli(['generate', '--model', model, ...there]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^phiblocks: ${code}`));
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it.each(['phi3small-128k-a', 'phimoe-longrope-a', 'phi3v-wide-a'])('inspect works on %s', async (name) => {
    const { status, stdout } = await runCli(['inspect', '--model', golden(name), '--json', '--context', '64']);
    expect(status).toBe(0);
    const { config } = loadGolden(name);
    const { memory, modelType, numCrops } = JSON.parse(stdout);
    expect(modelType).toBe(config!.model_type);
    expect(numCrops === null).toBe(modelType !== 'phi3_v');
    expect(memory.totalInBytes).toBe(
      memory.weightsInBytes + memory.cacheInBytes + Math.max(memory.activationsInBytes, memory.imageInBytes),
    );
    expect((await runCli(['inspect', '--model', golden(name)])).stdout).toContain('memory');
  });
});
