import { ArgumentError, expectKnownOptions, isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { aborted, type EvaluatedModel } from './evaluated-model.ts';
import { type EvaluationResult, parseEvaluationResult } from './evaluation-result.ts';
import type { ChoiceQuestion } from './multiple-choice.ts';
import { scoreChoices } from './multiple-choice.ts';
import { perplexity } from './perplexity.ts';
import { scoreOutput } from './score-output.ts';
import { createTaskSample, tasksOfSuite } from './suites.ts';
import { summaryOf } from './summary.ts';

/** What to evaluate: plain JSON, the same for every model. */
export type EvaluationSpecification = LongContextSpecification | PerplexitySpecification | MultipleChoiceSpecification;

/** Long-context tasks at some lengths. */
export interface LongContextSpecification {
  readonly kind: 'long-context';
  /** A suite or one task. */
  readonly suite: string;
  /** Tokens in all, prompt and answer. */
  readonly lengths: readonly number[];
  /** Samples of each task at each length. */
  readonly samples: number;
  readonly seed: number;
  /** Tokens for the answer, where they are not what the tasks allow. */
  readonly maxNewTokens?: number | undefined;
}

/** Perplexity of a text, by sliding windows, at some window lengths. */
export interface PerplexitySpecification {
  readonly kind: 'perplexity';
  readonly text: string;
  /** Tokens of a window. Empty: one measurement with the longest that the model holds. */
  readonly lengths: readonly number[];
  readonly maxTokens?: number | undefined;
}

/** Multiple choice by log-likelihood. */
export interface MultipleChoiceSpecification {
  readonly kind: 'multiple-choice';
  readonly questions: readonly ChoiceQuestion[];
}

export interface EvaluationRun {
  /** A result of the same specification and model to go on from: its records are kept and not made again. */
  readonly previous?: unknown;
  /** Told after every record, and awaited: the place to write the result to a file. */
  readonly onRecord?: ((progress: EvaluationProgress) => void | Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface EvaluationProgress {
  readonly done: number;
  readonly total: number;
  readonly result: EvaluationResult;
}

/** One thing measured. Its `key` is unique within a result. */
export type EvaluationRecord = TaskRecord | SkippedRecord | PerplexityRecord | ChoiceRecord;

export interface TaskRecord {
  readonly kind: 'task';
  readonly key: string;
  readonly task: string;
  readonly length: number;
  readonly index: number;
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  readonly depthPercent?: number | undefined;
  readonly references: readonly string[];
  readonly output: string;
  /** 0 to 1 */
  readonly score: number;
  readonly elapsedMs: number;
}

/** A task that cannot be made so short, or a length beyond the model. */
export interface SkippedRecord {
  readonly kind: 'skipped';
  readonly key: string;
  readonly task: string;
  readonly length: number;
  readonly reason: string;
}

export interface PerplexityRecord {
  readonly kind: 'perplexity';
  readonly key: string;
  readonly length: number;
  readonly perplexity: number;
  readonly scoredTokens: number;
  readonly tokens: number;
  readonly tokensInText: number;
  readonly elapsedMs: number;
}

export interface ChoiceRecord {
  readonly kind: 'choice';
  readonly key: string;
  readonly answer: number;
  readonly logLikelihoods: readonly number[];
  readonly tokens: readonly number[];
  readonly picked: { readonly sum: number; readonly perToken: number; readonly perByte: number };
  readonly elapsedMs: number;
}

/** A record to make: its key, and how. */
interface Planned {
  readonly key: string;
  make(): Promise<EvaluationRecord>;
}

/**
 * Evaluates a model: one record for each sample, window length or question, and a summary. It can be stopped and taken up
 * again at any record, with the same result but for the times.
 *
 * @param model - from `evaluatedModel`
 * @param specification - what to evaluate
 * @param run - an earlier result, progress, and abort
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_SUITE`, `EV_RESULT` for an earlier result that does not belong here, `ABORTED`
 * between records
 * @example
 * // A model that reads one token per word and copies the first number that it finds.
 * const model = {
 *   name: 'reader', contextLength: 1000, format: 'plain',
 *   countTokens: ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length,
 *   generate: async ({ prompt }) => /\d+/.exec(prompt)[0],
 * };
 * const specification = { kind: 'long-context', suite: 'passkey', lengths: [200], samples: 3, seed: 1 };
 * (await runEvaluation(model, specification)).summary.average; // => [{ length: 200, score: 1 }]
 */
export async function runEvaluation(
  model: EvaluatedModel,
  specification: EvaluationSpecification,
  run: EvaluationRun = {},
): Promise<EvaluationResult> {
  expectKnownOptions('runEvaluation', run, ['previous', 'onRecord', 'signal']);
  const plan = planOf(model, specification, run.signal);
  const identity = { model: model.name, format: model.format, specification };
  const known = new Map<string, EvaluationRecord>();
  if (run.previous !== undefined) {
    const previous = parseEvaluationResult(run.previous);
    const { model: name, format, specification: asked } = previous;
    if (canonical({ model: name, format, specification: asked }) !== canonical(identity)) {
      throw new Phi3Error({
        code: 'EV_RESULT',
        function: 'runEvaluation',
        argument: 'run.previous',
        expected: 'a result of the same model and specification',
        got: name,
      });
    }
    for (const record of previous.records) known.set(record.key, record);
  }
  const records: EvaluationRecord[] = [];
  const resultNow = (): EvaluationResult => ({
    resultFormat: 'phiblocks-evaluation-1',
    ...identity,
    isComplete: records.length === plan.length,
    records: [...records],
    summary: summaryOf(records),
  });
  for (const { key, make } of plan) {
    const before = known.get(key);
    if (before === undefined && run.signal?.aborted) throw aborted('runEvaluation', run.signal);
    records.push(before ?? (await make()));
    if (before === undefined) await run.onRecord?.({ done: records.length, total: plan.length, result: resultNow() });
  }
  return resultNow();
}

/** Everything to be measured, in order. Faults of the specification are found here, before anything runs. */
function planOf(
  model: EvaluatedModel,
  specification: EvaluationSpecification,
  signal: AbortSignal | undefined,
): Planned[] {
  switch (specification.kind) {
    case 'long-context':
      return longContextPlan(model, specification, signal);
    case 'perplexity':
      return perplexityPlan(model, specification, signal);
    case 'multiple-choice':
      return choicePlan(model, specification, signal);
    default:
      throw new ArgumentError({
        function: 'runEvaluation',
        argument: 'specification.kind',
        expected: 'long-context, perplexity or multiple-choice',
        got: (specification as { kind?: unknown }).kind,
      });
  }
}

function longContextPlan(
  model: EvaluatedModel,
  specification: LongContextSpecification,
  signal: AbortSignal | undefined,
): Planned[] {
  expectKnownOptions('runEvaluation', specification, ['kind', 'suite', 'lengths', 'samples', 'seed', 'maxNewTokens']);
  const { suite, lengths, samples, seed, maxNewTokens } = specification;
  expectLengths(lengths, 1);
  expectWhole('samples', samples, 1);
  expectWhole('seed', seed, 0);
  if (maxNewTokens !== undefined) expectWhole('maxNewTokens', maxNewTokens, 1);
  const input = {
    seed,
    maxNewTokens,
    countTokens: (prompt: Parameters<EvaluatedModel['countTokens']>[0]) => model.countTokens(prompt),
  };

  async function record(key: string, task: string, length: number, index: number): Promise<EvaluationRecord> {
    const skipped = (reason: string): SkippedRecord => ({ kind: 'skipped', key, task, length, reason });
    if (length > model.contextLength) return skipped(`the model holds ${model.contextLength} tokens`);
    // The suite "needle" asks where in the text a needle is found: evenly from its start to its end.
    const depthPercent = suite === 'needle' && samples > 1 ? (100 * index) / (samples - 1) : undefined;
    try {
      const sample = createTaskSample(task, { ...input, length, index, depthPercent });
      const { references, scoring, promptTokens, depthPercent: depth } = sample;
      const started = performance.now();
      const output = await model.generate(sample, { maxNewTokens: sample.maxNewTokens, signal });
      const elapsedMs = Math.round(performance.now() - started);
      const score = scoreOutput(scoring, output, references);
      return {
        kind: 'task',
        key,
        task,
        length,
        index,
        promptTokens,
        maxNewTokens: sample.maxNewTokens,
        ...(depth === undefined ? {} : { depthPercent: depth }),
        references,
        output,
        score,
        elapsedMs,
      };
    } catch (error) {
      if (isPhi3Error(error, 'EV_LENGTH')) return skipped(error.message);
      throw error;
    }
  }

  return lengths.flatMap((length) =>
    tasksOfSuite(suite).flatMap((task) =>
      Array.from({ length: samples }, (_, index) => {
        const key = `${task}/${length}/${index}`;
        return { key, make: () => record(key, task, length, index) };
      }),
    ),
  );
}

function perplexityPlan(
  model: EvaluatedModel,
  specification: PerplexitySpecification,
  signal: AbortSignal | undefined,
): Planned[] {
  expectKnownOptions('runEvaluation', specification, ['kind', 'text', 'lengths', 'maxTokens']);
  const { text, maxTokens } = specification;
  if (typeof text !== 'string') fail('text', 'a text', text);
  const lengths = specification.lengths.length > 0 ? specification.lengths : [model.contextLength];
  expectLengths(lengths, 2);
  if (maxTokens !== undefined) expectWhole('maxTokens', maxTokens, 2);
  return lengths.map((length) => {
    const key = `perplexity/${length}`;
    const make = async (): Promise<EvaluationRecord> => {
      if (length > model.contextLength) {
        const reason = `the model holds ${model.contextLength} tokens`;
        return { kind: 'skipped', key, task: 'perplexity', length, reason };
      }
      const started = performance.now();
      const measured = await perplexity(model, text, { contextLength: length, maxTokens, signal });
      const { perplexity: value, scoredTokens, tokens, tokensInText } = measured;
      const elapsedMs = Math.round(performance.now() - started);
      return { kind: 'perplexity', key, length, perplexity: value, scoredTokens, tokens, tokensInText, elapsedMs };
    };
    return { key, make };
  });
}

function choicePlan(
  model: EvaluatedModel,
  specification: MultipleChoiceSpecification,
  signal: AbortSignal | undefined,
): Planned[] {
  expectKnownOptions('runEvaluation', specification, ['kind', 'questions']);
  const { questions } = specification;
  if (!Array.isArray(questions) || questions.length === 0) fail('questions', 'at least one question', questions);
  return questions.map((question, index) => {
    const key = `choice/${index}`;
    const make = async (): Promise<EvaluationRecord> => {
      const started = performance.now();
      const { logLikelihoods, tokens, picked } = await scoreChoices(model, question, signal);
      const elapsedMs = Math.round(performance.now() - started);
      return { kind: 'choice', key, answer: question.answer, logLikelihoods, tokens, picked, elapsedMs };
    };
    return { key, make };
  });
}

function expectLengths(lengths: readonly number[], least: number): void {
  if (!Array.isArray(lengths) || lengths.length === 0) fail('lengths', 'at least one length', lengths);
  for (const [i, length] of lengths.entries()) {
    expectWhole(`lengths[${i}]`, length, least, 2 ** 24);
    if (lengths.indexOf(length) !== i) fail(`lengths[${i}]`, 'each length once', length);
  }
}

function expectWhole(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    fail(name, `a whole number from ${least} to ${most}`, value);
  }
}

function fail(name: string, expected: string, got: unknown): never {
  throw new ArgumentError({ function: 'runEvaluation', argument: `specification.${name}`, expected, got });
}

/** JSON with sorted keys: two values are the same when their texts are. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}
