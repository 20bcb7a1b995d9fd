import type { EvaluationResult } from './evaluation-result.ts';

/**
 * The summary of a result as a table of plain text: tasks by lengths in percent, perplexity by length, or accuracies. A dash
 * stands where a task does not fit a length.
 *
 * @param result - complete or not
 * @returns lines, each with its line break
 * @example
 * const summary = { tasks: [{ task: 'vt', length: 512, samples: 4, score: 0.25 }], average: [{ length: 512, score: 0.25 }] };
 * formatSummary({ summary, records: [] }).split('\n')[1]; // => 'vt        25.0'
 */
export function formatSummary({ summary, records }: Pick<EvaluationResult, 'summary' | 'records'>): string {
  const rows: string[][] = [];
  const { tasks, average, perplexity, accuracy } = summary;
  if (tasks !== undefined && average !== undefined) {
    const lengths = average.map(({ length }) => length);
    rows.push(['task', ...lengths.map(String)]);
    for (const task of new Set(tasks.map((one) => one.task))) {
      const scores = lengths.map((length) => tasks.find((one) => one.task === task && one.length === length)?.score);
      rows.push([task, ...scores.map(percent)]);
    }
    if (rows.length > 2) rows.push(['average', ...average.map(({ score }) => percent(score))]);
  }
  if (perplexity !== undefined) {
    rows.push(['window', 'perplexity', 'tokens']);
    for (const { length, perplexity: value } of perplexity) {
      const record = records.find((one) => one.kind === 'perplexity' && one.length === length);
      const tokens = record?.kind === 'perplexity' ? String(record.scoredTokens) : '–';
      rows.push([String(length), value === null ? '–' : value.toPrecision(6), tokens]);
    }
  }
  if (accuracy !== undefined) {
    rows.push(['compared by', 'accuracy']);
    rows.push(['sum', percent(accuracy.sum)]);
    rows.push(['per token', percent(accuracy.perToken)]);
    rows.push(['per byte', percent(accuracy.perByte)]);
  }
  const widths = rows.reduce<number[]>(
    (before, row) => row.map((cell, i) => Math.max(cell.length, before[i] ?? 0)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(Math.max(widths[0]!, 8)) : cell.padStart(Math.max(widths[i]!, 4))))
        .join('  '),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

function percent(score: number | null | undefined): string {
  return score === null || score === undefined ? '–' : (100 * score).toFixed(1);
}
