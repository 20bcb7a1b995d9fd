import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram } from '../src/program.ts';
import { UsageError } from '../src/usage-error.ts';
import { writeTiny } from './tiny-checkpoints.ts';

// The built command, as a shell runs it. A socket that is opened ends the process: nothing may reach the network.

const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

let folder = '';
let guard = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-cli-'));
  guard = join(folder, 'no-network.cjs');
  await writeFile(
    guard,
    `const net = process.getBuiltinModule('node:net');
     const dns = process.getBuiltinModule('node:dns');
     net.Socket.prototype.connect = dns.lookup = globalThis.fetch = () => { process.stderr.write('NETWORK'); process.exit(99); };`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A process starts slowly on a busy machine. */
const slowMs = 240_000;

function run(...args: string[]) {
  return spawnSync(process.execPath, ['--require', guard, cli, ...args], {
    encoding: 'utf8',
    env: { ...process.env, PHIBLOCKS_CHECK_STATE: join(folder, 'state'), HF_HOME: join(folder, 'hub') },
  });
}

describe('phiblocks-check', { timeout: slowMs }, () => {
  it('0 when all holds, with both reports', async () => {
    const model = await writeTiny(join(folder, 'right'), 'window');
    const [json, html] = [join(folder, 'report.json'), join(folder, 'report.html')];
    const { status, stdout, stderr } = run(
      model,
      '--suite',
      'files,blocks,cache,backends',
      '--json',
      json,
      '--html',
      html,
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ok {5}blocks/m);
    expect(stdout).toContain('All holds: 4 suites checked');
    expect(JSON.parse(await readFile(json, 'utf8')).status).toBe('passed');
    expect(await readFile(html, 'utf8')).toContain('<!doctype html>');
  });

  it('1 when something falls short, and says what first', async () => {
    const model = await writeTiny(join(folder, 'short'), 'window', { file: (bytes) => bytes.slice(0, -8) });
    const { status, stdout } = run(model);
    expect(status).toBe(1);
    expect(stdout).toMatch(/FAILED files/);
    expect(stdout).toContain('Falls short: model');
  });

  it('2 for a command line that cannot be meant', () => {
    const { status, stderr } = run('model', '--suite', 'everything');
    expect(stderr).toMatch(/^phiblocks-check: USAGE .+\n$/);
    expect(status).toBe(2);
  });

  it.each([
    [[]],
    [['model', '--threads', '2']],
    [['model', '--suite', 'against']],
    [['model', '--revision', 'main']],
    [['model', '--formats', 'Q3_K']],
    [['.', '--download']],
    [['model', '--frobnicate']],
  ])('%j cannot be meant either', async (args) => {
    const program = createProgram().configureOutput({ writeErr: () => {} });
    const error = await program.parseAsync(args, { from: 'user' }).catch((thrown: unknown) => thrown);
    expect(error instanceof UsageError || error instanceof CommanderError).toBe(true);
  });

  it('3 when there is nothing to check, also for a name on the hub that is not at hand', () => {
    for (const model of [join(folder, 'nowhere'), 'microsoft/Phi-3-mini-4k-instruct']) {
      const { status, stderr } = run(model);
      expect(stderr).toContain('CHECKPOINT_NOT_FOUND');
      expect(status).toBe(3);
    }
  });

  it('export-reference writes the program', async () => {
    const { status, stdout } = run('export-reference', '--out', folder);
    expect(status).toBe(0);
    expect(await readFile(stdout.trim(), 'utf8')).toContain('def main');
  });
});
