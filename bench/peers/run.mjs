// phiblocks and node-llama-cpp on the same GGUF file, each run a process of its own, in turn. See README.md.
//   node run.mjs FILE [--context 64] [--prompt-tokens 128] [--decode-tokens 32] [--threads 2] [--runs 5] [--node PATH]
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: 'string', default: '64' },
    'prompt-tokens': { type: 'string', default: '128' },
    'decode-tokens': { type: 'string', default: '32' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '5' },
    node: { type: 'string', default: process.execPath },
  },
});
const file = positionals[0];
if (!file) {
  console.error('Name a GGUF file; tools/synthetic/make-checkpoint.mjs writes one of any published shape.');
  process.exit(2);
}
const { context, threads } = values;
const lengths = ['--prompt-tokens', values['prompt-tokens'], '--decode-tokens', values['decode-tokens']];
const cli = join(here, '../../apps/cli/dist/cli.js');
const llama = (flash) => [
  join(here, 'llama.mjs'),
  file,
  values['prompt-tokens'],
  context,
  values['decode-tokens'],
  threads,
  flash,
];
const contestants = [
  ['phiblocks', [cli, 'bench', '--model', file, '--threads', threads, '--context', context, ...lengths, '--json']],
  ['node-llama-cpp', llama('0')],
  ['node-llama-cpp, flash attention', llama('1')],
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
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const of = ({ results }, key) => median(results.map((result) => result[key]));
const version = spawnSync(values.node, ['--version'], { encoding: 'utf8' }).stdout.trim();
console.log(
  `${version}, ${threads} threads, context ${context}, prompt ${values['prompt-tokens']}, medians of ${values.runs} runs in turn`,
);
console.table(
  Object.fromEntries(
    contestants.map((contestant) => [
      contestant.name,
      {
        'prompt tok/s': of(contestant, 'prefillTokensPerSecond').toFixed(1),
        'decode tok/s': of(contestant, 'decodeTokensPerSecond').toFixed(2),
        'load s': of(contestant, 'loadSeconds').toFixed(2),
        'decode, ours / theirs': (
          of(contestants[0], 'decodeTokensPerSecond') / of(contestant, 'decodeTokensPerSecond')
        ).toFixed(2),
        'share of bandwidth': contestant.results[0].shareOfBandwidth
          ? of(contestant, 'shareOfBandwidth').toFixed(2)
          : '',
      },
    ]),
  ),
);
