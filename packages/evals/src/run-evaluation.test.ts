import { describe, expect, it } from 'vitest';
import { countWords } from '../test/counters.ts';
import type { EvaluatedModel } from './evaluated-model.ts';
import { formatSummary } from './format-summary.ts';
import { type EvaluationSpecification, runEvaluation } from './run-evaluation.ts';

/** Answers the passkey of every second prompt it is asked, and finds digits likely. */
function fakeModel(): EvaluatedModel & { asked: number } {
  const model = {
    asked: 0,
    name: 'fake',
    contextLength: 2000,
    format: 'plain' as const,
    countTokens: countWords,
    async generate({ prompt }: { prompt: string }) {
      model.asked++;
      const key = /pass key is (\d+)/.exec(prompt)?.[1] ?? '';
      return Number(key) % 2 === 0 ? ` ${key}.` : ' I do not know.';
    },
    encode: (text: string) => Int32Array.from([1, ...[...text].map((c) => c.charCodeAt(0))]),
    async logProbabilities(ids: Int32Array, from: number) {
      model.asked++;
      return Float64Array.from(ids.subarray(from), (id) => (id >= 48 && id <= 57 ? -0.5 : -2));
    },
  };
  return model;
}

const passkeys: EvaluationSpecification = {
  kind: 'long-context',
  suite: 'passkey',
  lengths: [200, 400],
  samples: 6,
  seed: 1,
};
const questions = [
  { prompt: 'n =', choices: [' x', ' 1'], answer: 1 },
  { prompt: 'n =', choices: [' 12', ' y'], answer: 1 },
];
const specifications: EvaluationSpecification[] = [
  passkeys,
  { kind: 'perplexity', text: '0123456789 and so on and on.', lengths: [4, 8, 4000] },
  { kind: 'multiple-choice', questions },
];
const withoutTimes = (value: unknown) =>
  JSON.parse(JSON.stringify(value, (key, one: unknown) => (key === 'elapsedMs' ? 0 : one)));

describe('runEvaluation', () => {
  it('long context: one record for every sample, scored, and their means', async () => {
    const { records, summary, isComplete } = await runEvaluation(fakeModel(), passkeys);
    expect(isComplete).toBe(true);
    expect(records.length).toBe(12);
    expect(new Set(records.map(({ key }) => key)).size).toBe(12);
    for (const record of records) {
      if (record.kind !== 'task') throw new Error('a task was expected');
      expect(record.score).toBe(Number(record.references[0]) % 2 === 0 ? 1 : 0);
      expect(record.promptTokens + record.maxNewTokens).toBeLessThanOrEqual(record.length);
    }
    for (const length of [200, 400]) {
      const scores = records.flatMap((one) => (one.kind === 'task' && one.length === length ? one.score : []));
      const mean = scores.reduce((a, b) => a + b) / 6;
      expect(summary.tasks).toContainEqual({ task: 'passkey', length, samples: 6, score: mean });
      expect(summary.average).toContainEqual({ length, score: mean });
    }
  });

  it('what does not fit is said and counts for nothing', async () => {
    const { records, summary } = await runEvaluation(fakeModel(), {
      kind: 'long-context',
      suite: 'long-context',
      lengths: [150, 3000],
      samples: 1,
      seed: 1,
    });
    const skipped = records.filter((record) => record.kind === 'skipped');
    expect(skipped).toContainEqual(
      expect.objectContaining({ task: 'cwe', length: 150, reason: expect.stringMatching(/EV_LENGTH/) }),
    );
    expect(skipped.filter(({ length }) => length === 3000).length).toBe(12);
    expect(summary.average![1]).toEqual({ length: 3000, score: null });
    expect(summary.tasks).toContainEqual({ task: 'vt', length: 3000, samples: 0, score: null });
    const table = formatSummary({ summary, records }).split('\n');
    expect(table[0]).toMatch(/^task +150 +3000$/);
    expect(table.find((line) => line.startsWith('cwe'))).toMatch(/^cwe +– +–$/);
  });

  it('needle sweeps from the start of the text to its end', async () => {
    const { records } = await runEvaluation(fakeModel(), { ...passkeys, suite: 'needle', samples: 5, lengths: [500] });
    expect(records.map((one) => (one.kind === 'task' ? one.depthPercent : -1))).toEqual([0, 25, 50, 75, 100]);
  });

  it('perplexity: by window length, with exact counts of tokens', async () => {
    const { records, summary } = await runEvaluation(fakeModel(), specifications[1]!);
    const text = '0123456789 and so on and on.';
    const sum = [...text].reduce((before, c) => before + (/\d/.test(c) ? 0.5 : 2), 0);
    expect(records[0]).toMatchObject({ length: 4, scoredTokens: text.length, tokens: text.length + 1 });
    expect(summary.perplexity).toEqual([
      { length: 4, perplexity: expect.closeTo(Math.exp(sum / text.length), 12) },
      { length: 8, perplexity: expect.closeTo(Math.exp(sum / text.length), 12) },
      { length: 4000, perplexity: null },
    ]);
    const longest = await runEvaluation(fakeModel(), { kind: 'perplexity', text, lengths: [] });
    expect(longest.records.map((record) => record.key)).toEqual(['perplexity/2000']);
    expect(formatSummary(longest)).toMatch(/^window +perplexity +tokens\n2000 /);
  });

  it('multiple choice: the share that each way to compare gets right', async () => {
    const { summary, records } = await runEvaluation(fakeModel(), specifications[2]!);
    // A space costs 2 and so does a letter; a digit 0.5: ` 12` costs 3 in all, ` y` 4.
    expect(records[1]).toMatchObject({ logLikelihoods: [-3, -4], tokens: [3, 2], picked: { sum: 0, perToken: 0 } });
    expect(summary.accuracy).toEqual({ questions: 2, sum: 0.5, perToken: 0.5, perByte: 0.5 });
    expect(formatSummary({ summary, records })).toMatch(/^compared by +accuracy\nsum +50\.0\n/);
  });

  it.each(specifications)(
    '$kind: goes on from every point with the same result, through JSON',
    async (specification) => {
      const parts: unknown[] = [];
      const whole = await runEvaluation(fakeModel(), specification, {
        onRecord: ({ result, done, total }) => {
          expect(result.records.length).toBe(done);
          expect(result.isComplete).toBe(done === total);
          parts.push(JSON.parse(JSON.stringify(result)));
        },
      });
      for (const [index, previous] of parts.entries()) {
        const model = fakeModel();
        const resumed = await runEvaluation(model, specification, { previous });
        expect(withoutTimes(resumed)).toEqual(withoutTimes(whole));
        if (index === parts.length - 1) expect(model.asked).toBe(0);
      }
    },
  );

  it('is stopped between records by its signal', async () => {
    const controller = new AbortController();
    let done = 0;
    const run = runEvaluation(fakeModel(), passkeys, {
      signal: controller.signal,
      onRecord: (progress) => {
        done = progress.done;
        if (done === 3) controller.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
    expect(done).toBe(3);
  });

  it('does not go on from a result of another model or specification, or from none', async () => {
    const good = await runEvaluation(fakeModel(), passkeys);
    const bad: unknown[] = [
      null,
      [],
      {},
      { ...good, model: 'other' },
      { ...good, format: 'chat' },
      { ...good, specification: { ...passkeys, seed: 2 } },
      { ...good, specification: null },
      { ...good, records: null },
      { ...good, records: [null] },
      { ...good, records: [good.records[0], good.records[0]] },
      { ...good, records: [{ ...good.records[0], score: 2 }] },
      { ...good, records: [{ ...good.records[0], score: null }] },
      { ...good, records: [{ ...good.records[0], kind: 'other' }] },
      { ...good, resultFormat: 'phiblocks-evaluation-2' },
    ];
    for (const previous of bad) {
      await expect(runEvaluation(fakeModel(), passkeys, { previous })).rejects.toMatchObject({ code: 'EV_RESULT' });
    }
  });

  it('finds faults of a specification before it runs', async () => {
    const model = fakeModel();
    const bad: [object, string][] = [
      [{ ...passkeys, suite: 'ruler' }, 'EV_SUITE'],
      [{ ...passkeys, lengths: [] }, 'ARGUMENT'],
      [{ ...passkeys, lengths: [200, 200] }, 'ARGUMENT'],
      [{ ...passkeys, lengths: [0.5] }, 'ARGUMENT'],
      [{ ...passkeys, samples: 0 }, 'ARGUMENT'],
      [{ ...passkeys, seed: -1 }, 'ARGUMENT'],
      [{ ...passkeys, maxNewTokens: 0 }, 'ARGUMENT'],
      [{ ...passkeys, sample: 1 }, 'OPTION_UNKNOWN'],
      [{ kind: 'perplexity', text: 3, lengths: [] }, 'ARGUMENT'],
      [{ kind: 'perplexity', text: 'abc', lengths: [1] }, 'ARGUMENT'],
      [{ kind: 'multiple-choice', questions: [] }, 'ARGUMENT'],
      [{ kind: 'other' }, 'ARGUMENT'],
    ];
    for (const [specification, code] of bad) {
      await expect(runEvaluation(model, specification as never), JSON.stringify(specification)).rejects.toMatchObject({
        code,
      });
    }
    expect(model.asked).toBe(0);
  });
});
