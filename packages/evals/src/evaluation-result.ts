import { Phi3Error } from '@phiblocks/tensor';
import type { EvaluationRecord, EvaluationSpecification } from './run-evaluation.ts';
import type { EvaluationSummary } from './summary.ts';

/** A result, complete or as far as it is: plain JSON. */
export interface EvaluationResult {
  readonly resultFormat: 'phiblocks-evaluation-1';
  readonly model: string;
  /** How prompts were put. */
  readonly format: 'chat' | 'plain';
  readonly specification: EvaluationSpecification;
  readonly isComplete: boolean;
  readonly records: readonly EvaluationRecord[];
  readonly summary: EvaluationSummary;
}

/**
 * Checks a result that came from a file, as far as going on from it needs.
 *
 * @throws Phi3Error `EV_RESULT` naming what is wrong
 * @example
 * try {
 *   parseEvaluationResult({});
 * } catch (error) {
 *   error.code; // => 'EV_RESULT'
 * }
 */
export function parseEvaluationResult(value: unknown): EvaluationResult {
  expectResult(value);
  return value as EvaluationResult;
}

function expectResult(value: unknown): void {
  function fail(key: string, expected: string, got: unknown): never {
    throw new Phi3Error({ code: 'EV_RESULT', function: 'parseEvaluationResult', expected, got, where: { key } });
  }
  if (!isObject(value)) fail('', 'an object', value);
  if (value.resultFormat !== 'phiblocks-evaluation-1')
    fail('resultFormat', 'phiblocks-evaluation-1', value.resultFormat);
  if (typeof value.model !== 'string') fail('model', 'a text', value.model);
  if (value.format !== 'chat' && value.format !== 'plain') fail('format', 'chat or plain', value.format);
  if (!isObject(value.specification)) fail('specification', 'an object', value.specification);
  if (!Array.isArray(value.records)) fail('records', 'an array', value.records);
  const keys = new Set<string>();
  for (const [i, record] of value.records.entries()) {
    if (!isObject(record) || typeof record.key !== 'string' || keys.has(record.key)) {
      fail(`records[${i}]`, 'an object with a key of its own', record);
    }
    keys.add(record.key);
    const fault = faultOf(record);
    if (fault !== undefined) fail(`records[${i}].${fault}`, 'what a record of its kind has', record[fault]);
  }
}

/** The fields that summaries add up. */
function faultOf(record: Record<string, unknown>): string | undefined {
  const isNumber = (name: string): boolean => Number.isFinite(record[name]);
  switch (record.kind) {
    case 'task':
      if (!isNumber('score') || (record.score as number) < 0 || (record.score as number) > 1) return 'score';
      if (typeof record.task !== 'string') return 'task';
      return isNumber('length') ? undefined : 'length';
    case 'skipped':
      if (typeof record.task !== 'string') return 'task';
      if (typeof record.reason !== 'string') return 'reason';
      return isNumber('length') ? undefined : 'length';
    case 'perplexity':
      if (!isNumber('perplexity')) return 'perplexity';
      return isNumber('length') ? undefined : 'length';
    case 'choice':
      if (!isNumber('answer')) return 'answer';
      return isObject(record.picked) ? undefined : 'picked';
    default:
      return 'kind';
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
