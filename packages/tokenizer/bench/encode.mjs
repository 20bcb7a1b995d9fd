// Encodes one 5 MB text with this package and with JavaScript peers, side by side in one process:
//   pnpm --filter @phiblocks/tokenizer bench
// Runs alternate, so that a slow moment of the machine hits everybody; the table has the median of the later runs and,
// apart, the first run, before anything has been compiled or remembered. Ids are compared first. Ratios are of processor
// time, which other work on the machine disturbs less than the time on the clock.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createPhi3SmallTokenizer, parseTokenizerJson } from '../dist/index.js';
import { createCorpus } from './corpus.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const shared = process.env.PHIBLOCKS_SHARED ?? resolve(here, '../../../../shared');
const folder = join(shared, 'tokenizers');
const runs = Number(process.env.RUNS ?? 5);
const sizeInBytes = Number(process.env.SIZE ?? 5_000_000);

if (!existsSync(folder)) {
  console.log(`tokenizer bench skipped: no vocabularies at ${folder} (set PHIBLOCKS_SHARED)`);
  process.exit(0);
}

const documents = createCorpus(sizeInBytes);
const text = documents.join('');
const megabytes = new TextEncoder().encode(text).length / 1e6;
const version = (name) =>
  `${name} ${JSON.parse(readFileSync(join(here, '../node_modules', name, 'package.json'), 'utf8')).version}`;
const read = (...parts) => readFileSync(join(folder, ...parts), 'utf8');
console.log(`node ${process.version}, ${megabytes.toFixed(2)} MB, seed 1, ${runs} runs each, medians\n`);

const timed = (work) => {
  const cpuStart = process.cpuUsage();
  const start = performance.now();
  const value = work();
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuStart);
  return { value, elapsedMs, cpuMs: (user + system) / 1000 };
};
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/**
 * @param {string[]} inputs - texts that every contestant encodes one by one in each run
 * @param {{ name: string, load: () => (text: string) => ArrayLike<number> }[]} contestants - ours first
 */
function race(title, inputs, contestants) {
  const encodeAll = (encode) => inputs.map((input) => encode(input));
  const rows = contestants.map(({ name, load }) => {
    const { value: encode, cpuMs: loadMs } = timed(load);
    return { name, encode, loadMs, firstMs: 0, times: [] };
  });
  let expected;
  for (const row of rows) {
    const { value: ids, cpuMs } = timed(() => encodeAll(row.encode));
    row.firstMs = cpuMs;
    expected ??= ids;
    if (inputs.some((_, k) => ids[k].length !== expected[k].length || expected[k].some((id, i) => ids[k][i] !== id)))
      throw new Error(`${row.name} gives other ids than ${rows[0].name}`);
  }
  for (let run = 0; run < runs; run++) for (const row of rows) row.times.push(timed(() => encodeAll(row.encode)));
  const cpu = (row) => median(row.times.map(({ cpuMs }) => cpuMs));
  const clock = (row) => median(row.times.map(({ elapsedMs }) => elapsedMs));
  console.log(
    `${title}: ${inputs.length} text(s), ${expected.reduce((sum, ids) => sum + ids.length, 0)} tokens, equal ids`,
  );
  console.table(
    rows.map((row) => ({
      tokenizer: row.name,
      'load, cpu ms': Math.round(row.loadMs),
      'first run, cpu ms': Math.round(row.firstMs),
      'median cpu ms': Math.round(cpu(row)),
      'median clock ms': Math.round(clock(row)),
      'MB per cpu s': Number((megabytes / (cpu(row) / 1000)).toFixed(1)),
      'cpu, times ours': Number((cpu(row) / cpu(rows[0])).toFixed(2)),
      'first run, times ours': Number((row.firstMs / rows[0].firstMs).toFixed(2)),
    })),
  );
}

const { Tokenizer } = await import('@huggingface/tokenizers');
const json = read('phi-3-mini', 'tokenizer.json');
const config = read('phi-3-mini', 'tokenizer_config.json');
const ours = {
  name: 'phiblocks',
  load: () => {
    const tokenizer = parseTokenizerJson(json, { tokenizerConfig: config });
    return (input) => tokenizer.encode(input);
  },
};
const theirs = {
  name: version('@huggingface/tokenizers'),
  load: () => {
    const tokenizer = new Tokenizer(JSON.parse(json), JSON.parse(config));
    return (input) => tokenizer.encode(input).ids;
  },
};
// Without a pre-tokenizer the peer's time grows faster than the text: on the whole of it as one text, on a busy machine,
// it did not come to an end within ten minutes. Paragraph by paragraph is the way that suits it best.
race('phi-3-mini, paragraph by paragraph', documents, [ours, theirs]);
race('phi-3-mini, one text', [text], [ours]);

const { Tiktoken } = await import('js-tiktoken/lite');
const { default: cl100k } = await import('js-tiktoken/ranks/cl100k_base');
const { default: gptTokenizer } = await import('gpt-tokenizer/encoding/cl100k_base');
const ranks = read('phi-3-small', 'cl100k_base.tiktoken');
race(
  'cl100k, one text',
  [text],
  [
    {
      name: 'phiblocks',
      load: () => {
        const tokenizer = createPhi3SmallTokenizer(ranks);
        return (input) => tokenizer.encode(input);
      },
    },
    {
      name: version('js-tiktoken'),
      load: () => {
        const tokenizer = new Tiktoken(cl100k);
        return (input) => tokenizer.encode(input, [], []);
      },
    },
    { name: version('gpt-tokenizer'), load: () => (input) => gptTokenizer.encode(input) },
  ],
);
