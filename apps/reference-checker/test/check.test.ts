import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check } from '../src/check.ts';
import type { CheckOptions } from '../src/context.ts';
import { openTarget } from '../src/open-target.ts';
import { htmlReport } from '../src/report/html.ts';
import { suiteText, summaryText } from '../src/report/text.ts';
import { exitStatus, type Report } from '../src/result.ts';
import { writeTiny } from './tiny-checkpoints.ts';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks check ')); // a path with spaces
  model = await writeTiny(join(folder, 'tiny'), 'phi3');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function checkPath(path: string, options: CheckOptions = {}): Promise<Report> {
  const target = await openTarget(path);
  try {
    return await check(target, options);
  } finally {
    await target.close();
  }
}

describe('check', () => {
  it('does not pass by checking nothing', async () => {
    const report = await checkPath(model, { suites: ['tokenizer', 'logits', 'text'] });
    expect(report.suites.map(({ status }) => status)).toEqual(Array(3).fill('not applicable'));
    expect(report.suites.every(({ reason }) => reason.length > 10)).toBe(true);
    expect(exitStatus(report)).toBe(3);
  });

  it('goes on where it was interrupted', async () => {
    const stateDirectory = join(folder, 'state');
    const options: CheckOptions = { suites: ['files', 'blocks'], stateDirectory };
    const whole = await checkPath(model, { ...options, stateDirectory: undefined });

    const controller = new AbortController();
    const parts: number[] = [];
    const interrupted = checkPath(model, {
      ...options,
      signal: controller.signal,
      onProgress(suite, done) {
        if (suite !== 'blocks') return;
        parts.push(done);
        if (done === 2) controller.abort(new Error('enough'));
      },
    });
    await expect(interrupted).rejects.toThrow();
    expect(parts).toEqual([1, 2]);
    expect(await readdir(stateDirectory)).toHaveLength(1);

    const resumed: number[] = [];
    const report = await checkPath(model, {
      ...options,
      onProgress: (suite, done) => void (suite === 'blocks' && resumed.push(done)),
    });
    expect(resumed).toEqual([3, 4]);
    expect(report.suites.map(({ checks }) => checks)).toEqual(whole.suites.map(({ checks }) => checks));
    expect(await readdir(stateDirectory)).toEqual([]);
  });

  it('starts afresh where the state was cut off', async () => {
    const stateDirectory = join(folder, 'broken');
    const first = await checkPath(model, { suites: ['files'] });
    await rm(stateDirectory, { recursive: true, force: true });
    const { mkdir } = await import('node:fs/promises');
    await mkdir(stateDirectory);
    await writeFile(join(stateDirectory, `${first.fingerprint}.json`), '{"version":1,"suites":[{');
    expect(exitStatus(await checkPath(model, { suites: ['files'], stateDirectory }))).toBe(0);
  });

  it('checks blocks on WebAssembly, with budgets of float32', async () => {
    const report = await checkPath(model, { suites: ['blocks'], backend: 'wasm', threads: 1 });
    expect(exitStatus(report)).toBe(0);
    expect(report.suites[0]!.reason).toContain('float32 sums');
  });
});

describe('reports', () => {
  it('names from files are escaped', async () => {
    const report = await checkPath(model, { suites: ['files'] });
    const hidden = ['\u202e', '\u001b'];
    const name = `<script>alert(1)</script>${hidden.join('')}[31m`;
    const hostile: Report = {
      ...report,
      model: name,
      status: 'failed',
      suites: [
        {
          suite: 'files',
          status: 'failed',
          reason: name,
          elapsedMs: 1,
          checks: [{ name, status: 'failed', detail: name }],
        },
      ],
    };
    const html = htmlReport(hostile);
    expect(html).not.toContain('<script');
    const text = suiteText(hostile.suites[0]!) + summaryText(hostile);
    for (const character of hidden) {
      expect(html).not.toContain(character);
      expect(text).not.toContain(character);
    }
  });

  it('is one page without scripts or anything to load', async () => {
    const report = await checkPath(model, { suites: ['blocks', 'quantization'], formats: ['Q8_0', 'BF16'] });
    const html = htmlReport(report);
    expect(html).not.toMatch(/<script|<link|<img|url\(|@import|src=/i);
    for (const title of ['Error by layer and block', 'Error by position', 'What a weight format costs']) {
      expect(html).toContain(title);
    }
    expect(html.match(/<svg/g)?.length).toBeGreaterThanOrEqual(3);
  });

  it('the JSON says for each suite whether it was checked', async () => {
    const report = await checkPath(model, { suites: ['files', 'tokenizer'] });
    const back = JSON.parse(JSON.stringify(report)) as Report;
    expect(back.version).toBe(1);
    expect(back.suites.map(({ suite, status }) => [suite, status])).toEqual([
      ['files', 'passed'],
      ['tokenizer', 'not applicable'],
    ]);
  });
});
