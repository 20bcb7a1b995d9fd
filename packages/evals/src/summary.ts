import type { EvaluationRecord } from './run-evaluation.ts';

/** What the records of a result add up to; parts that a kind of evaluation does not have are absent. */
export interface EvaluationSummary {
  /** Mean score of each task at each length, from 0 to 1; null where the task does not fit the length. */
  readonly tasks?: readonly TaskSummary[];
  /** Mean over the tasks that fit, at each length. */
  readonly average?: readonly { readonly length: number; readonly score: number | null }[];
  readonly perplexity?: readonly { readonly length: number; readonly perplexity: number | null }[];
  /** Share of right answers by each way to compare choices. */
  readonly accuracy?: {
    readonly questions: number;
    readonly sum: number;
    readonly perToken: number;
    readonly perByte: number;
  };
}

export interface TaskSummary {
  readonly task: string;
  readonly length: number;
  readonly samples: number;
  readonly score: number | null;
}

export function summaryOf(records: readonly EvaluationRecord[]): EvaluationSummary {
  const summary: { -readonly [Key in keyof EvaluationSummary]: EvaluationSummary[Key] } = {};
  const tasks = tasksOf(records);
  if (tasks.length > 0) {
    summary.tasks = tasks;
    summary.average = [...new Set(tasks.map(({ length }) => length))].map((length) => ({
      length,
      score: meanOf(tasks.filter((one) => one.length === length).flatMap(({ score }) => score ?? [])),
    }));
  }
  const measured = records.flatMap((record) => {
    if (record.kind === 'perplexity') return { length: record.length, perplexity: record.perplexity };
    if (record.kind === 'skipped' && record.task === 'perplexity') return { length: record.length, perplexity: null };
    return [];
  });
  if (measured.length > 0) summary.perplexity = measured;
  const choices = records.flatMap((record) => (record.kind === 'choice' ? record : []));
  if (choices.length > 0) {
    const share = (by: 'sum' | 'perToken' | 'perByte'): number =>
      choices.filter(({ picked, answer }) => picked[by] === answer).length / choices.length;
    summary.accuracy = {
      questions: choices.length,
      sum: share('sum'),
      perToken: share('perToken'),
      perByte: share('perByte'),
    };
  }
  return summary;
}

function tasksOf(records: readonly EvaluationRecord[]): TaskSummary[] {
  const groups = new Map<string, { task: string; length: number; scores: number[] }>();
  for (const record of records) {
    if (record.kind !== 'task' && (record.kind !== 'skipped' || record.task === 'perplexity')) continue;
    const { task, length } = record;
    const key = `${task}/${length}`;
    const group = groups.get(key) ?? { task, length, scores: [] };
    groups.set(key, group);
    if (record.kind === 'task') group.scores.push(record.score);
  }
  return [...groups.values()].map(({ task, length, scores }) => ({
    task,
    length,
    samples: scores.length,
    score: meanOf(scores),
  }));
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
