import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../../tools/synthetic/make-checkpoint.mjs', import.meta.url));

/** Writes a synthetic checkpoint as a person would. Rejects with the script's message. */
export async function runMakeCheckpoint(args: readonly string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [script, ...args]);
}
