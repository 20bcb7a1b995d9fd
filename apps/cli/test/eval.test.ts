import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-eval-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a command line that cannot be meant', () => {
  it.each([
    ['lengths that are none', ['--suite', 'passkey', '--lengths', '256,x'], /USAGE .*Expected different lengths/],
    ['a length twice', ['--suite', 'passkey', '--lengths', '256,256'], /USAGE .*Expected different lengths/],
    ['samples', ['--suite', 'passkey', '--samples', '0'], /USAGE/],
    ['a text for nothing', ['--suite', 'passkey', '--text', 'a'], /USAGE --text goes with --suite perplexity/],
    ['questions for nothing', ['--suite', 'vt', '--questions', 'a'], /USAGE --questions goes with --suite multiple/],
    ['no text', ['--suite', 'perplexity'], /USAGE --suite perplexity needs --text/],
    ['no questions', ['--suite', 'multiple-choice'], /USAGE --suite multiple-choice needs --questions/],
    ['force', ['--suite', 'vt', '--force'], /USAGE --force goes with --json/],
    ['a seed', ['--suite', 'perplexity', '--text', 'a', '--seed', '1'], /USAGE --seed makes no difference/],
  ])('%s', async (_, args, message) => {
    const { status, stderr } = await runCli(['eval', '--model', 'x', ...args]);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  it('names of suites and files that are not there', async () => {
    const suite = await runCli(['eval', '--model', 'x', '--suite', 'ruler']);
    expect(suite).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/EV_SUITE eval\(--suite\): expected one of .*passkey.*perplexity.*'ruler'/),
    });
    const model = await runCli(['eval', '--model', join(folder, 'none'), '--suite', 'vt']);
    expect(model).toMatchObject({ status: 1, stderr: expect.stringMatching(/CHECKPOINT_NOT_FOUND/) });
    const questions = join(folder, 'bad.jsonl');
    await writeFile(questions, '{"prompt": "a"}\n');
    const bad = await runCli(['eval', '--model', 'x', '--suite', 'multiple-choice', '--questions', questions]);
    expect(bad).toMatchObject({ status: 1, stderr: expect.stringMatching(/EV_QUESTIONS .*line 1/) });
  });
});

describeWithShared('on the trained model', 'models/stories260k-phi3', () => {
  const evaluate = (...args: string[]) =>
    runCli(['eval', '--model', sharedPath('models/stories260k-phi3'), '--threads', '1', ...args]);

  it('prints a table, says what does not fit, and writes every record', async () => {
    const json = join(folder, 'tasks.json');
    const { status, stdout, stderr } = await evaluate(
      ...['--suite', 'long-context', '--lengths', '256,512', '--samples', '1', '--answer-tokens', '4', '--json', json],
    );
    expect({
      status,
      stderr: stderr.match(/\b[A-Z]+_[A-Z]+\b/g)?.filter((code) => code !== 'EV_LENGTH') ?? [],
    }).toEqual({
      status: 0,
      stderr: [],
    });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^task +256 +512$/);
    expect(lines.length).toBe(14);
    expect(lines.at(-1)).toMatch(/^average +[\d.]+ +[\d.]+$/);
    expect(stderr).toMatch(/cwe at 256 tokens is left out/);
    const result = JSON.parse(readFileSync(json, 'utf8'));
    expect(result).toMatchObject({
      isComplete: true,
      format: 'plain',
      specification: { seed: 42, lengths: [256, 512] },
    });
    for (const record of result.records) {
      if (record.kind !== 'task') continue;
      expect(record.promptTokens + record.maxNewTokens).toBeLessThanOrEqual(record.length);
      // The granularity of 512 pieces that know nothing of these words: a few tokens.
      expect(record.promptTokens + record.maxNewTokens).toBeGreaterThanOrEqual(0.98 * record.length);
    }
    expect(await readdir(folder)).not.toContainEqual(expect.stringMatching(/\.tmp$/));
  }, 60_000);

  it('Ctrl-C leaves a file from which the same command goes on to the same result', async () => {
    const [whole, part] = [join(folder, 'whole.json'), join(folder, 'part.json')];
    const args = ['--suite', 'passkey', '--lengths', '300,500', '--samples', '8', '--seed', '3'];
    expect((await evaluate(...args, '--json', whole)).status).toBe(0);
    let polling: NodeJS.Timeout | undefined;
    const stopped = await runCli(
      ['eval', '--model', sharedPath('models/stories260k-phi3'), '--threads', '1', ...args, '--json', part],
      undefined,
      (child) => {
        polling = setInterval(() => {
          if (!existsSync(part)) return;
          clearInterval(polling);
          child.kill('SIGINT');
        }, 5);
      },
    );
    clearInterval(polling);
    expect(stopped).toMatchObject({ status: 130, stdout: '', stderr: expect.stringMatching(/goes on from there/) });
    const before = JSON.parse(readFileSync(part, 'utf8'));
    expect(before.isComplete).toBe(false);
    expect(before.records.length).toBeGreaterThan(0);
    expect(before.records.length).toBeLessThan(16);
    expect((await evaluate(...args, '--json', part)).status).toBe(0);
    const read = (file: string) =>
      JSON.parse(readFileSync(file, 'utf8'), (key, value) => (key === 'elapsedMs' ? 0 : value));
    expect(read(part)).toEqual(read(whole));

    const other = await evaluate('--suite', 'passkey', '--lengths', '300', '--json', part);
    expect(other).toMatchObject({ status: 1, stderr: expect.stringMatching(/EV_RESULT eval\(--json\).*--force/) });
    await writeFile(part, 'not JSON');
    expect((await evaluate(...args, '--json', part)).stderr).toMatch(/EV_RESULT/);
    expect(
      (await evaluate('--suite', 'passkey', '--lengths', '300', '--samples', '1', '--json', part, '--force')).status,
    ).toBe(0);
  }, 120_000);

  it('measures perplexity of a file and multiple choice', async () => {
    const text = join(folder, 'story.txt');
    await writeFile(text, 'Once upon a time, there was a little girl named Lily. She had a big red ball. '.repeat(4));
    const perplexity = await evaluate('--suite', 'perplexity', '--text', text, '--lengths', '32,64');
    expect(perplexity.stdout).toMatch(/^window +perplexity +tokens\n32 +[\d.]+ +\d+\n64 +[\d.]+ +\d+\n$/);
    const questions = join(folder, 'questions.jsonl');
    await writeFile(
      questions,
      '{"prompt":"Once upon a","choices":[" time"," xylophone"],"answer":0}\n{"prompt":"Lily was very","choices":[" zzq"," happy"],"answer":1}\n',
    );
    const choice = await evaluate('--suite', 'multiple-choice', '--questions', questions);
    expect(choice.stdout).toBe(
      'compared by  accuracy\nsum             100.0\nper token       100.0\nper byte        100.0\n',
    );
  }, 60_000);
});
