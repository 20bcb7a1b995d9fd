// Searches the long factors of nano-mini-short with `searchFactors` of @phiblocks/longrope, and compares what it finds with
// the closed forms on rows that the search has not seen. Build the packages and run make_rows.py first.
//
//   node tools/nano/long/search.mjs [--model DIR] [--rows 3] [--population 16] [--iterations 8] [--seed 42] [--fresh]
//
// After every evaluation the state is written to out/factor-search-state.json; the same command goes on from it.
// The result goes to tools/nano/long/factor-search.json: factors, curve, comparison, time and device.
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
    rows: { type: 'string', default: '3' },
    'held-out': { type: 'string', default: '12' },
    population: { type: 'string', default: '16' },
    iterations: { type: 'string', default: '8' },
    seed: { type: 'string', default: '42' },
    threads: { type: 'string', default: '1' },
    fresh: { type: 'boolean', default: false },
    state: { type: 'string', default: join(out, 'factor-search-state.json') },
    result: { type: 'string', default: join(here, 'factor-search.json') },
  },
});
const population = Number(flags.population);
const options = {
  start: 'all',
  seed: Number(flags.seed),
  populationSize: population,
  iterations: Number(flags.iterations),
  parentsSize: Math.floor(population / 2),
  mutationSize: Math.floor(population / 4),
  crossoverSize: Math.floor(population / 4),
};

const rows = JSON.parse(readFileSync(join(out, 'rows.json'), 'utf8'));
const searchRows = rows.search.slice(0, Number(flags.rows));
const heldOutRows = rows.heldOut.slice(0, Number(flags['held-out']));
const started = performance.now();
const { extension, perplexityOf, close } = await openObjective(flags.model, { threads: Number(flags.threads) });
const objective = (factors) => perplexityOf(factors, searchRows);
const run = {
  onProgress({ iteration, evaluations, plannedEvaluations, perplexity, bestPerplexity, state }) {
    writeFileSync(`${flags.state}.tmp`, JSON.stringify(state));
    renameSync(`${flags.state}.tmp`, flags.state); // whole at every moment, also after a kill
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(
      `${evaluations}/${plannedEvaluations}  iteration ${iteration}  ${perplexity.toFixed(4)}  best ${bestPerplexity.toFixed(4)}  ${seconds} s`,
    );
  },
};

if (flags.fresh) rmSync(flags.state, { force: true });
const state = existsSync(flags.state) ? JSON.parse(readFileSync(flags.state, 'utf8')) : undefined;
if (state && JSON.stringify(state.settings) !== JSON.stringify(factorSearchSettings(extension, options))) {
  console.error('The state is of a search with other settings; --fresh starts a new one.');
  process.exit(2);
}
const found = state
  ? await resumeFactorSearch(objective, state, run)
  : await searchFactors(objective, extension, options, run);

const candidates = [
  ['plain extension', plainFactors(extension)],
  ['position interpolation', positionInterpolationFactors(extension)],
  ['NTK', ntkFactors(extension)],
  ['YaRN', yarnFactors(extension)],
  ['YaRN-like first individual', yarnLikeFactors(extension)],
  ['found', found.factors],
];
const comparison = [];
for (const [name, factors] of candidates) {
  const perplexityOfSearchRows = await perplexityOf(factors, searchRows);
  const perplexityOfHeldOutRows = await perplexityOf(factors, heldOutRows);
  comparison.push({ name, perplexityOfSearchRows, perplexityOfHeldOutRows });
  console.log(
    `${name.padEnd(28)} ${perplexityOfSearchRows.toFixed(4).padStart(10)} ${perplexityOfHeldOutRows.toFixed(4).padStart(10)}`,
  );
}
await close();

const cpuSeconds = process.cpuUsage();
const result = {
  extension,
  options,
  rows: { search: searchRows.length, heldOut: heldOutRows.length, tokens: extension.targetLength },
  factors: found.factors,
  perplexity: found.perplexity,
  finished: found.finished,
  curve: found.curve,
  comparison,
  seconds: Math.round((performance.now() - started) / 1000),
  processorSeconds: Math.round((cpuSeconds.user + cpuSeconds.system) / 1e6),
  resumed: state !== undefined,
  device: `${cpus()[0]?.model ?? 'unknown'}, ${flags.threads} thread(s) of ${availableParallelism()}, Node ${process.version}, backend wasm`,
};
writeFileSync(flags.result, `${JSON.stringify(result, undefined, 1)}\n`);
console.log(`${result.seconds} s (${result.processorSeconds} s of processor time) on ${result.device}`);
