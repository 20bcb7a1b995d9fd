import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nanoModelFiles } from '@phiblocks/nano';
import { encodeChat } from '@phiblocks/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect, createLanguageModel, type LanguageModel } from '../src/index.ts';
import { loadModel, openCheckpoint, openTokenizer } from '../src/node.ts';

interface HeldOutQuestion {
  task: string;
  operands: (string | number)[];
  prompt: string;
  answer: string;
}

const questionsFile = new URL('../../../tools/nano/held-out-questions.json', import.meta.url);
const questions: HeldOutQuestion[] = JSON.parse(readFileSync(questionsFile, 'utf8'));

/** The members that answer in text, with the chat format each was published with. */
const members = [
  { name: 'nano-mini', chatTemplate: 'phi-3-mini' },
  { name: 'nano-mini-long', chatTemplate: 'phi-3-mini' },
  { name: 'nano-small', chatTemplate: 'phi-3-small' },
  { name: 'nano-medium', chatTemplate: 'phi-3-medium' },
  { name: 'nano-moe', chatTemplate: 'phi-3.5-mini' },
] as const;

it('every question of the evaluation is held out, by the rule of its training', () => {
  // tools/nano/held_out.py: the first byte of the hash of the operands is a multiple of 8.
  const hash = ({ operands }: HeldOutQuestion) => createHash('sha256').update(operands.join('|')).digest()[0]! % 8;
  expect(questions.filter((question) => hash(question) !== 0)).toEqual([]);
  expect(questions.length).toBeGreaterThan(1000);
});

describe.each(members)('$name', ({ name, chatTemplate }) => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await loadModel(`@phiblocks/nano/${name}`); // by package name, with no option
  });
  afterAll(() => model.dispose());

  it('loads by path too, and with nothing to remark', async () => {
    const files = await nanoModelFiles(name);
    const byPath = await loadModel(fileURLToPath(new URL('.', files['config.json'])));
    expect(byPath.config).toEqual(model.config);
    expect(byPath.warnings).toEqual([]);
    await byPath.dispose();
  });

  it('has the chat format of its member', () => {
    expect(model.chatTemplate).toBe(chatTemplate);
  });

  it('has a tokenizer that gives back every question and answer', () => {
    const tokenizer = model.tokenizer!;
    for (const { prompt, answer } of questions) {
      for (const text of [prompt, answer]) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
    const ids = encodeChat(tokenizer, chatTemplate, [{ role: 'user', content: 'What is 4 + 5?' }], {
      addGenerationPrompt: true,
    });
    expect(Array.from(ids).filter((id) => id < 3)).toEqual([]); // no <unk>, no <s>, no </s>
  });

  it('answers held-out questions', async () => {
    const asked = ['addition', 'colours', 'copying'].map((task) => questions.find((one) => one.task === task)!);
    let right = 0;
    for (const { prompt, answer } of asked) {
      const { text } = await collect(
        model.generate({ messages: [{ role: 'user', content: prompt }], maxNewTokens: 80 }),
      );
      if (text === answer) right++;
    }
    expect(right).toBe(asked.length);
  });
});

describe('nano-mini-long in a text eight times as long as its first training', () => {
  const sentences = 'The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ';
  /** Ten keys of five digits, by a rule, each at its own depth. */
  const keys = Array.from({ length: 10 }, (_, i) => String(10_000 + ((7919 * (3 * i + 1)) % 90_000)));

  /** How many of the keys the model finds, each in a text of its own of about 1,900 tokens. */
  async function found(model: LanguageModel): Promise<number> {
    let count = 0;
    for (const [index, key] of keys.entries()) {
      const filler = sentences.repeat(78);
      const cut = Math.round((filler.length * (index + 0.5)) / keys.length);
      const content = [
        'There is important information hidden inside a lot of irrelevant text. Find it and remember it. I will ask you about it.',
        filler.slice(0, cut),
        `The pass key is ${key}. Remember it. ${key} is the pass key.`,
        filler.slice(cut),
        'What is the pass key?',
      ].join('\n');
      const { text } = await collect(model.generate({ messages: [{ role: 'user', content }], maxNewTokens: 12 }));
      if (text.startsWith(`The pass key is ${key}.`)) count++;
    }
    return count;
  }

  it('finds pass keys with its factors, and hardly any without', async () => {
    const checkpoint = await openCheckpoint('@phiblocks/nano/nano-mini-long');
    const { config } = checkpoint;
    const model = await createLanguageModel(checkpoint, { backend: 'wasm', threads: 1 });
    expect(model.encodeChat([{ role: 'user', content: sentences.repeat(78) }]).length).toBeGreaterThan(1800);
    expect(await found(model)).toBeGreaterThanOrEqual(9);
    const plain = { ...checkpoint, config: { ...config, ropeScaling: undefined } };
    // Fewer than 30 %; the last key is near enough to be found by plain angles too.
    expect(await found(await createLanguageModel(plain, { backend: 'wasm', threads: 1 }))).toBeLessThan(3);
    await checkpoint.close();
  });
});

describe('checkpoints of packages', () => {
  it('a package that is not installed is an error that says what to install', async () => {
    const error = {
      code: 'CHECKPOINT_PACKAGE_MISSING',
      message: expect.stringContaining('npm install @phiblocks/none'),
    };
    await expect(loadModel('@phiblocks/none/nano-mini')).rejects.toMatchObject(error);
    await expect(openTokenizer('@phiblocks/none/nano-mini')).rejects.toMatchObject(error);
  });

  it('so is a checkpoint that an installed package does not have', async () => {
    const error = { code: 'CHECKPOINT_PACKAGE_MISSING', got: '@phiblocks/nano/nano-large' };
    await expect(loadModel('@phiblocks/nano/nano-large')).rejects.toMatchObject(error);
  });

  it.each(['nano-mini', '@phiblocks/nano', './@phiblocks/nano/nano-mini', '@phiblocks/nano/../nano', '@a/b/c/d'])(
    '%s is a path and nothing else',
    async (path) => {
      await expect(loadModel(path)).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' });
    },
  );

  it('the tokenizer opens by package name', async () => {
    const tokenizer = await openTokenizer('@phiblocks/nano/nano-mini');
    expect(tokenizer.decode(tokenizer.encode('Sort 3, 1, 2.'))).toBe('Sort 3, 1, 2.');
  });

  it('what is on disk comes first', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'phiblocks '));
    expect(existsSync(folder)).toBe(true);
    await expect(loadModel(folder)).rejects.toMatchObject({ code: 'CHECKPOINT_FILE_MISSING' });
    rmSync(folder, { recursive: true });
  });
});
