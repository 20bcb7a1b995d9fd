// Searches the long factors of nano-mini-short with `searchFactors` of @phiblocks/longrope, and compares what it finds with
// the closed forms on rows that neither the search nor the choice has seen. Build the packages and run make_rows.py first.
//
//   node tools/nano/long/search.mjs [--model DIR] [--population 14] [--iterations 4] [--seed 42] [--fresh]
//
// The search starts from the closed forms, and from YaRN with other ramps. It ends with many lists that differ little on its few
// rows, so the best `--finalists` are asked again on the rows of validation, and the best of those is the result.
//
// After every evaluation the state is written to out/factor-search-state.json; the same command goes on from it.
// The result goes to tools/nano/long/factor-search.json: factors, curve, comparison, time and device.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  factorSearchSettings,
  ntkFactors,
  plainFactors,
  positionInterpolationFactors,
  resumeFactorSearch,
  searchFactors,
  yarnFactors,
  yarnLikeFactors,
} from '../../../packages/longrope/dist/index.js';
import { openObjective } from './objective.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = join(here, '../out');
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: join(out, 'nano-mini-short') },
    population: { type: 'string', default: '14' },
    iterations: { type: 'string', default: '4' },
    finalists: { type: 'string', default: '6' },
    seed: { type: 'string', default: '42' },
    threads: { type: 'string', default: '1' },
    fresh: { type: 'boolean', default: false },
    state: { type: 'string', default: join(out, 'factor-search-state.json') },
    result: { type: 'string', default: join(here, 'factor-search.json') },
  },
});

const started = performance.now();
const rowsText = readFileSync(join(out, 'rows.json'), 'utf8');
const rows = JSON.parse(rowsText);
const { extension, perplexityOf, close } = await openObjective(flags.model, { threads: Number(flags.threads) });
const scale = extension.targetLength / extension.originalMaxPositionEmbeddings;

const closedForms = [
  ['plain extension', plainFactors(extension)],
  ['position interpolation', positionInterpolationFactors(extension)],
  ['NTK', ntkFactors(extension)],
  ['YaRN', yarnFactors(extension)],
  ['YaRN-like', yarnLikeFactors(extension)],
];
const otherRamps = [
  [128, 2],
  [16, 1],
  [8, 0.5],
  [4, 0.25],
  [32, 0.25],
  [8, 2],
].map(([betaFast, betaSlow]) => yarnFactors({ ...extension, betaFast, betaSlow }));
const population = Number(flags.population);
const options = {
  start: [...closedForms.map(([, factors]) => factors), ...otherRamps],
  seed: Number(flags.seed),
  populationSize: population,
  iterations: Number(flags.iterations),
  parentsSize: Math.floor(population / 3),
  mutationSize: Math.floor(population / 4),
  crossoverSize: Math.floor(population / 4),
};

/** A state goes on only where its perplexities would come out again: the same rows, weights and settings. */
const sources = createHash('sha256')
  .update(rowsText)
  .update(readFileSync(join(flags.model, 'model.safetensors')))
  .digest('hex');
const run = {
  onProgress({ iteration, evaluations, plannedEvaluations, perplexity, bestPerplexity, state }) {
    writeFileSync(`${flags.state}.tmp`, JSON.stringify({ sources, state }));
    renameSync(`${flags.state}.tmp`, flags.state); // whole at every moment, also after a kill
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(
      `${evaluations}/${plannedEvaluations}  iteration ${iteration}  ${perplexity.toFixed(4)}  best ${bestPerplexity.toFixed(4)}  ${seconds} s`,
    );
  },
};
if (flags.fresh) rmSync(flags.state, { force: true });
const kept = existsSync(flags.state) ? JSON.parse(readFileSync(flags.state, 'utf8')) : undefined;
const settings = JSON.stringify(factorSearchSettings(extension, options));
if (kept && (kept.sources !== sources || JSON.stringify(kept.state.settings) !== settings)) {
  console.error('The state is of a search with other rows, weights or settings; --fresh starts a new one.');
  process.exit(2);
}
const objective = (factors) => perplexityOf(factors, rows.search);
const found = kept
  ? await resumeFactorSearch(objective, kept.state, run)
  : await searchFactors(objective, extension, options, run);

const finalists = [];
const best = [...found.state.evaluated].sort((a, b) => a.perplexity - b.perplexity).slice(0, Number(flags.finalists));
for (const { steps, perplexity } of best) {
  const factors = steps.map((count) => Number((1 + count * found.state.settings.listStep).toPrecision(12)));
  const perplexityOfValidation = await perplexityOf(factors, rows.validation);
  finalists.push({ factors, perplexityOfSearch: perplexity, perplexityOfValidation });
}
finalists.sort((a, b) => a.perplexityOfValidation - b.perplexityOfValidation);
const { factors } = finalists[0];

const comparison = [];
function writeResult() {
  const { user, system } = process.cpuUsage();
  const result = {
    extension,
    options,
    rows: Object.fromEntries(Object.entries(rows).map(([set, list]) => [set, list.length])),
    factors,
    perplexity: finalists[0].perplexityOfSearch,
    finalists,
    finished: found.finished,
    curve: found.curve,
    comparison,
    seconds: Math.round((performance.now() - started) / 1000),
    processorSeconds: Math.round((user + system) / 1e6),
    resumed: kept !== undefined,
    device: `${cpus()[0]?.model ?? 'unknown'}, ${flags.threads} thread(s) of ${availableParallelism()}, Node ${process.version}, backend wasm`,
  };
  writeFileSync(flags.result, `${JSON.stringify(result, undefined, 1)}\n`);
  return result;
}
writeResult(); // the factors are found: a training may begin while they are compared

// All lists have the attention factor of LongRoPE's formula, as the search had; beside them the two that are published with another.
for (const [name, list, attentionFactor] of [
  ...closedForms,
  ['plain, attention factor 1', plainFactors(extension), 1],
  ['YaRN, its attention factor', yarnFactors(extension), 0.1 * Math.log(scale) + 1],
  ['best on the search rows', found.factors],
  ['found', factors],
]) {
  const perplexities = {};
  for (const set of ['search', 'heldOut']) perplexities[set] = await perplexityOf(list, rows[set], attentionFactor);
  comparison.push({ name, perplexities });
  const columns = Object.values(perplexities).map((value) => value.toFixed(3).padStart(10));
  console.log(`${name.padEnd(28)}${columns.join('')}`);
}
await close();
const { seconds, processorSeconds, device } = writeResult();
console.log(`${seconds} s (${processorSeconds} s of processor time) on ${device}`);
process.exit(0); // threads of the backends end with the process
