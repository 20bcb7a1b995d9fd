import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { check, suiteNames } from './check.ts';
import { exportReference } from './export-reference.ts';
import type { Implementation } from './implementation.ts';
import { openModel } from './open-model.ts';
import { type MemberName, memberNames } from './published/members.ts';
import { printable, suiteText, summaryText } from './report/text.ts';
import { exitStatus, type Report, type SuiteName } from './result.ts';
import { checkedFormats } from './suites/quantization.ts';
import { createInterrupt, createProgress, note, print } from './terminal.ts';
import { UsageError, wholeNumber } from './usage-error.ts';

interface CheckFlags {
  readonly suite?: string;
  readonly backend: 'reference' | 'wasm';
  readonly threads?: number;
  readonly positions?: number;
  readonly member?: MemberName;
  readonly text?: string;
  readonly formats?: string;
  readonly against?: string;
  readonly hashes?: string;
  readonly json?: string;
  readonly html?: string;
  readonly state: boolean;
  readonly revision?: string;
  readonly download?: boolean;
}

/**
 * The command line as a value; nothing runs until it is parsed.
 *
 * @param implementation - what is checked; the packages when absent
 */
export function createProgram(implementation?: Implementation): Command {
  const program = new Command('phiblocks-check')
    .description(
      'Check a checkpoint of the Phi-3 family: every block of every layer against float64 definitions, published numbers, every backend and weight format.',
    )
    .version(packageJson.version)
    .argument('<model>', 'a checkpoint directory, a .gguf file, a golden case, or a name on the hub with --download')
    .option('--suite <names>', `by commas: ${suiteNames.join(', ')}`)
    .addOption(new Option('--backend <name>', 'what computes').choices(['reference', 'wasm']).default('reference'))
    .addOption(new Option('--threads <n>', 'threads of the backend wasm').argParser(wholeNumber(1, 32)))
    .addOption(
      new Option('--positions <n>', 'positions at each place where blocks are checked').argParser(wholeNumber(1, 4096)),
    )
    .addOption(new Option('--member <name>', 'the published member that the model is').choices(memberNames))
    .option('--text <file>', 'a text for the suite quantization, instead of a short built-in story')
    .option('--formats <names>', `for the suite quantization, by commas: ${checkedFormats.join(', ')}`)
    .option('--against <file>', 'compare with the tensors that export_reference.py recorded')
    .option('--hashes <file>', 'SHA-256 sums to compare with, as sha256sum prints them')
    .option('--json <file>', 'write the report as JSON')
    .option('--html <file>', 'write the report as one HTML page')
    .option('--no-state', 'start afresh, and keep nothing when interrupted')
    .option('--download', 'take a model from the hub by its name; nothing reaches the network without it')
    .option('--revision <name>', 'with --download: a branch, tag or commit')
    .showHelpAfterError(false)
    .action(async (model: string, flags: CheckFlags) => runCheck(model, flags, implementation));
  program
    .command('export-reference')
    .description(
      'write reference/export_reference.py, which records every intermediate of the published weights with transformers',
    )
    .option('--out <folder>', 'where to', '.')
    .action(async ({ out }: { out: string }) => print(`${await exportReference(out)}\n`));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      // One line, with the code that scripts look for.
      outputError: (text, write) => write(`phiblocks-check: USAGE ${oneLine(text.replace(/^error: /, ''))}\n`),
    });
  }
  return program;
}

async function runCheck(model: string, flags: CheckFlags, implementation: Implementation | undefined): Promise<void> {
  const suites = parseNames(flags.suite, suiteNames, '--suite');
  const formats = parseNames(flags.formats?.toUpperCase(), checkedFormats as readonly string[], '--formats');
  if (flags.backend === 'reference' && flags.threads !== undefined) {
    throw new UsageError('--threads goes with --backend wasm: the reference backend has one thread');
  }
  if (flags.revision !== undefined && !flags.download) throw new UsageError('--revision goes with --download');
  if (suites?.includes('against') && flags.against === undefined)
    throw new UsageError('--suite against needs --against FILE');
  const { signal, release } = createInterrupt();
  const progress = createProgress();
  const target = await openModel(model, { download: flags.download ?? false, revision: flags.revision, signal });
  try {
    const report = await check(target, {
      suites,
      backend: flags.backend,
      threads: flags.threads,
      positions: flags.positions,
      member: flags.member,
      text: flags.text === undefined ? undefined : await readFile(flags.text, 'utf8'),
      formats,
      against: flags.against,
      hashes: flags.hashes === undefined ? undefined : parseHashes(await readFile(flags.hashes, 'utf8')),
      stateDirectory: flags.state ? stateDirectory() : undefined,
      signal,
      onProgress: progress.update,
      implementation,
    });
    progress.end();
    await print(`${printable(report.model)}: ${printable(report.description)}\n`);
    for (const suite of report.suites) await print(suiteText(suite));
    await print(summaryText(report));
    await writeReports(report, flags);
    process.exitCode = exitStatus(report);
  } catch (error) {
    progress.end();
    if (signal.aborted && flags.state) note('phiblocks-check: stopped; the same command goes on from here');
    throw error;
  } finally {
    release();
    await target.close();
  }
}

async function writeReports(report: Report, { json, html }: CheckFlags): Promise<void> {
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (html === undefined) return;
  // What draws plots is loaded only where plots are wanted.
  const { htmlReport } = await import('./report/html.ts');
  await writeFile(html, htmlReport(report));
}

function parseNames<Name extends string>(
  text: string | undefined,
  known: readonly Name[],
  option: string,
): Name[] | undefined {
  if (text === undefined) return undefined;
  return text.split(',').map((part) => {
    const name = known.find((candidate) => candidate === part.trim());
    if (name === undefined) throw new UsageError(`${option} takes ${known.join(', ')}, not ${JSON.stringify(part)}`);
    return name;
  });
}

/** Lines of `sum  name`, or `sum *name`. */
function parseHashes(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split('\n').filter((part) => part.trim() !== '')) {
    const match = /^([0-9a-f]{64}) [ *](.+?)\r?$/.exec(line);
    if (!match) throw new UsageError(`--hashes: not a line of sha256sum: ${JSON.stringify(line.slice(0, 80))}`);
    sums.set(match[2]!, match[1]!);
  }
  return sums;
}

/** Where interrupted checks wait, as the XDG base directories have it. */
function stateDirectory(): string {
  const { PHIBLOCKS_CHECK_STATE, XDG_STATE_HOME } = process.env;
  return PHIBLOCKS_CHECK_STATE ?? join(XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'phiblocks-check');
}

export function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ');
}

export type { SuiteName };
