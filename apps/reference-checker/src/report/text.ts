import { figure } from '../compare.ts';
import { counted } from '../counted.ts';
import type { Check, Report, SuiteResult } from '../result.ts';
import { duration } from '../terminal.ts';

const marks = { passed: 'ok    ', failed: 'FAILED', 'not applicable': '–     ' } as const;
/** More failures of a suite than these are counted, not listed: they follow from the first. */
const mostListed = 12;

/** A suite in a few lines: what it covered, and everything that fell short. */
export function suiteText({ suite, status, reason, checks, elapsedMs }: SuiteResult): string {
  const time = elapsedMs >= 1000 ? ` (${duration(elapsedMs)})` : '';
  const lines = [`${marks[status]} ${suite.padEnd(12)} ${printable(reason)}${worst(checks)}${time}`];
  const failures = checks.filter((check) => check.status === 'failed');
  for (const { name, detail } of failures.slice(0, mostListed))
    lines.push(`         ${printable(name)}: ${printable(detail)}`);
  if (failures.length > mostListed) lines.push(`         … and ${failures.length - mostListed} more`);
  return `${lines.join('\n')}\n`;
}

/** The closest call of a suite that compares numbers. */
function worst(checks: readonly Check[]): string {
  const measured = checks.filter(({ error }) => error !== undefined && Number.isFinite(error.largestShare));
  if (measured.length === 0 || checks.some(({ status }) => status === 'failed')) return '';
  const { name, error } = measured.reduce((a, b) => (b.error!.largestShare > a.error!.largestShare ? b : a));
  const share = Math.round(100 * error!.largestShare);
  return `; worst ${printable(name)}: error ${figure(error!.largestAbsolute)}, ${share} % of its budget`;
}

export function summaryText(report: Report): string {
  const { suites, peakMemoryInBytes, elapsedMs } = report;
  const count = (status: SuiteResult['status']): number => suites.filter((suite) => suite.status === status).length;
  const firstFailure = suites.flatMap(({ checks }) => checks).find(({ status }) => status === 'failed');
  const outcome =
    report.status === 'passed'
      ? `All holds: ${counted(count('passed'), 'suite')} checked, ${count('not applicable')} not applicable.`
      : report.status === 'failed'
        ? `Falls short: ${printable(firstFailure?.name ?? 'a suite')}. ${count('failed')} of ${counted(suites.length, 'suite')} failed.`
        : 'Nothing could be checked.';
  return `${outcome} ${duration(elapsedMs)}, at most ${Math.round(peakMemoryInBytes / 2 ** 20)} MiB of memory.\n`;
}

/** Names and values from files, fit for a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '�');
}
