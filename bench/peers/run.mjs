// phiblocks and its peers on the same weights, each run a process of its own, in turn. See README.md.
//   node run.mjs FILE.gguf [--onnx DIRECTORY] [--browser] [--context 64] [--prompt-tokens 128] [--decode-tokens 32]
//                [--threads 2] [--runs 5] [--kv-cache f16] [--node PATH] [--json FILE]
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    onnx: { type: 'string' },
    browser: { type: 'boolean', default: false },
    context: { type: 'string', default: '64' },
    'prompt-tokens': { type: 'string', default: '128' },
    'decode-tokens': { type: 'string', default: '32' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '5' },
    'kv-cache': { type: 'string', default: 'f16' }, // what the peers keep
    node: { type: 'string', default: process.execPath },
    json: { type: 'string' },
  },
});
const file = positionals[0];
if (!file) {
  console.error('Name a GGUF file; tools/synthetic/make-checkpoint.mjs writes one of any published shape.');
  process.exit(2);
}
if (values.browser && !values.onnx) {
  console.error('--browser needs --onnx DIRECTORY, which make-onnx.mjs writes.');
  process.exit(2);
}
const { context, threads, onnx } = values;
const prompt = values['prompt-tokens'];
const decode = values['decode-tokens'];
const numbers = [prompt, context, decode, threads];
const script = (name, ...args) => [join(here, name), ...args];
const cli = join(here, '../../apps/cli/dist/cli.js');
const lengths = ['--prompt-tokens', prompt, '--decode-tokens', decode, '--context', context, '--threads', threads];

const contestants = [
  ['phiblocks', [cli, 'bench', '--model', file, ...lengths, '--kv-cache', values['kv-cache'], '--json']],
  ['node-llama-cpp', script('llama.mjs', file, ...numbers, '0')],
  ['node-llama-cpp, flash attention', script('llama.mjs', file, ...numbers, '1')],
  ...(onnx ? [['transformers.js, onnxruntime-node', script('transformers.mjs', onnx, ...numbers)]] : []),
  ...(values.browser
    ? [
        ['phiblocks in Chromium', script('browser.mjs', 'phiblocks', file, onnx, ...numbers)],
        ['wllama in Chromium', script('browser.mjs', 'wllama', file, onnx, ...numbers)],
        ['onnxruntime-web in Chromium', script('browser.mjs', 'onnxruntime-web', file, onnx, ...numbers)],
      ]
    : []),
].map(([name, args]) => ({ name, args, results: [] }));

for (let run = 0; run < Number(values.runs); run++) {
  for (const contestant of contestants) {
    const { stdout, stderr, status } = spawnSync(values.node, contestant.args, {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    const line = stdout.trim().split('\n').at(-1);
    if (status !== 0 || !line.startsWith('{')) throw new Error(`${contestant.name} failed: ${stderr.slice(-500)}`);
    contestant.results.push(JSON.parse(line));
    console.error(`run ${run + 1} of ${values.runs}: ${contestant.name}`);
  }
}

const median = (results, key) => results.map((result) => result[key]).sort((a, b) => a - b)[results.length >> 1];
const rows = contestants.map(({ name, results }) => ({
  engine: name,
  prefillTokensPerSecond: median(results, 'prefillTokensPerSecond'),
  decodeTokensPerSecond: median(results, 'decodeTokensPerSecond'),
  loadSeconds: median(results, 'loadSeconds'),
  shareOfBandwidth: results[0].shareOfBandwidth ? median(results, 'shareOfBandwidth') : undefined,
  runs: results,
}));
const version = spawnSync(values.node, ['--version'], { encoding: 'utf8' }).stdout.trim();
const lock = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')).dependencies;
const report = {
  file: basename(file),
  node: version,
  processor: cpus()[0].model,
  threads: Number(threads),
  promptTokens: Number(prompt),
  context: Number(context),
  decodeTokens: Number(decode),
  kvCache: values['kv-cache'],
  peers: lock,
  engines: rows,
};
if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
console.log(
  `${report.file}, Node ${version}, ${threads} threads, prompt ${prompt}, decode at ${context}, medians of ${values.runs} runs in turn`,
);
const [ours] = rows;
console.table(
  Object.fromEntries(
    rows.map((row) => [
      row.engine,
      {
        'prompt tok/s': row.prefillTokensPerSecond.toFixed(1),
        'decode tok/s': row.decodeTokensPerSecond.toFixed(2),
        'load s': row.loadSeconds.toFixed(2),
        'prompt, ours / theirs': (ours.prefillTokensPerSecond / row.prefillTokensPerSecond).toFixed(2),
        'decode, ours / theirs': (ours.decodeTokensPerSecond / row.decodeTokensPerSecond).toFixed(2),
        'share of bandwidth': row.shareOfBandwidth?.toFixed(2) ?? '',
      },
    ]),
  ),
);
