#!/usr/bin/env node
import { isPhi3Error } from '@phiblocks/tensor';
import { CommanderError } from 'commander';
import { createProgram, oneLine } from './program.ts';
import { UsageError } from './usage-error.ts';

// A reader that went away (`phiblocks-check … | head`) is no error of ours: end quietly, as other tools do.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** One line on standard error; the exit status: 2 for a command line that cannot be meant, 3 when nothing could be checked. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  if (isPhi3Error(error, 'ABORTED') || isStop(error)) return Number(process.exitCode ?? 130);
  const usage = error instanceof UsageError;
  const code = usage ? 'USAGE ' : isPhi3Error(error) ? '' : `${codeOf(error)} `;
  process.stderr.write(`phiblocks-check: ${code}${oneLine(error instanceof Error ? error.message : String(error))}\n`);
  return usage ? 2 : 3;
}

function isStop(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('stopped by SIG');
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'INTERNAL';
}
