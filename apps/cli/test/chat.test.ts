import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';

const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Runs `phiblocks chat` with these lines on its standard input. */
function chatWith(
  input: string,
  ...args: string[]
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, 'chat', '--model', 'nano-mini', ...args]);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
    child.stdin.end(input);
  });
}

describe('chat with nano-mini', () => {
  it('answers the question it is given, and reads nothing with --once', async () => {
    const { status, stdout, stderr } = await chatWith('Hello\n', '--ask', 'What is 48 + 39?', '--once');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toBe('> What is 48 + 39?\nOnes: 8+9=17, write 7, carry 1.\nTens: 4+3+1=8.\nAnswer: 87.\n');
  });

  it('answers every line of its input in one conversation, and leaves out empty ones', async () => {
    const { status, stdout, stderr } = await chatWith('\nRepeat: sun moon star.\n\nCount from 4 to 7.\n');
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'sun moon star.\n4, 5, 6, 7.\n', stderr: '' });
  });

  it('forgets the oldest questions where the context is full, and says so', async () => {
    const { status, stdout, stderr } = await chatWith('What is 48 + 39?\n'.repeat(12));
    expect(status).toBe(0);
    expect(stderr).toMatch(/the context is full; the oldest question is forgotten/);
    // Every question is answered; how well, so far behind the 256 tokens of its training, is not the command's to promise.
    expect(stdout.match(/^Ones: /gm)!.length).toBeGreaterThanOrEqual(12);
  });

  it('says how long it took when npm start asks for it', async () => {
    const { stderr } = await chatWith(
      '',
      '--ask',
      'Hello',
      '--once',
      '--started-at',
      `${Date.now()}`,
      '--prepared-in',
      '1500',
    );
    expect(stderr).toMatch(/^First character after \d+\.\d s, of which 1\.5 s were install and build\.\n$/);
  });

  it.each(['tokenize --text 1', 'inspect', 'generate --ids 1 --max-new-tokens 1'])(
    'the name of a nano model is enough for %s',
    async (words) => {
      const [command, ...rest] = words.split(' ');
      expect((await runCli([command!, '--model', 'nano-mini', ...rest])).status).toBe(0);
    },
  );

  it('a package that is not installed is an error', async () => {
    const { status, stderr } = await runCli(['chat', '--model', '@phiblocks/none/nano-mini', '--once']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^phiblocks: CHECKPOINT_PACKAGE_MISSING /);
  });
});
