import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a bar of progress writes without a terminal. */
const progress = /^(?:Loading|Measuring|Fetching [^\n]*): \d+ %\n/gm;

const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  /** Without lines of progress, which appear only where something takes long: a busy machine writes some. */
  readonly stderr: string;
}

/** Runs the built command line as a person's shell would, without a terminal. */
export function runCli(
  args: readonly string[],
  whileRunning?: (child: ChildProcess, stdout: string) => void,
  onStart?: (child: ChildProcess) => void,
  { environment, folder }: { environment?: Record<string, string>; folder?: string } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: folder,
      env: { ...process.env, ...environment },
    });
    onStart?.(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      whileRunning?.(child, stdout);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr: stderr.replace(progress, '') }));
  });
}
