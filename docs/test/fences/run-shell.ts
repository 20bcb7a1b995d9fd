import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The commands that a reader has installed, and where this repository builds them. */
const commands = {
  phiblocks: new URL('../../../apps/cli/dist/cli.js', import.meta.url),
  'phiblocks-check': new URL('../../../apps/reference-checker/dist/cli.js', import.meta.url),
};

/**
 * Runs the lines of a `sh` fence, of which the first that fails ends it.
 *
 * @param code - the lines
 * @param folder - where they run
 * @returns what they print on standard output
 */
export async function runShell(code: string, folder: string): Promise<string> {
  const bin = join(folder, '.bin');
  await mkdir(bin, { recursive: true });
  for (const [name, url] of Object.entries(commands)) {
    const script = `#!/bin/sh\nexec '${process.execPath}' '${fileURLToPath(url)}' "$@"\n`;
    await writeFile(join(bin, name), script, { mode: 0o755 });
  }
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    PHIBLOCKS_CHECK_STATE: join(folder, '.state'),
  };
  return new Promise((resolve, reject) => {
    execFile('/bin/sh', ['-ec', code], { cwd: folder, env }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(stdout);
    });
  });
}
