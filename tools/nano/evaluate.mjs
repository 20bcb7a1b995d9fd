// Asks the nano models the held-out questions, with the project's own runtime, and prints the share of right answers.
//
//   node tools/nano/evaluate.mjs [NAME …] [--folder DIR] [--precisions bf16,q4_0,q4_k] [--limit N] [--out FILE.json]
//   node tools/nano/evaluate.mjs [NAME …] --against-python [--sample 200]
//
// An answer is right when it is the expected text letter by letter, its working included. The second form answers a sample
// of the questions with the trainer's PyTorch code too and compares the token ids. Build the packages first.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createLanguageModel } from '../../packages/runtime/dist/index.js';
import { openCheckpoint } from '../../packages/runtime/dist/node.js';
import { quantizedCheckpoint } from './quantized-checkpoint.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: join(here, '../../packages/nano/models') },
    precisions: { type: 'string', default: 'bf16,q4_0,q4_k' },
    limit: { type: 'string' },
    out: { type: 'string' },
    'against-python': { type: 'boolean', default: false },
    sample: { type: 'string', default: '200' },
    python: { type: 'string', default: '/usr/bin/python3' },
  },
});
const names = positionals.length > 0 ? positionals : ['nano-mini', 'nano-small', 'nano-medium', 'nano-moe'];
const questions = JSON.parse(readFileSync(join(here, 'held-out-questions.json'), 'utf8'));

/** Opens a member at a precision; activations are float32, so that only the weights differ. */
async function openMember(name, precision) {
  const checkpoint = await openCheckpoint(join(resolve(flags.folder), name));
  return createLanguageModel(precision === 'bf16' ? checkpoint : quantizedCheckpoint(checkpoint, precision), {
    backend: 'wasm',
    threads: 1,
    backendOptions: { activations: 'f32' },
  });
}

/** The greedy answer to one question: its text and its ids. */
async function answer(model, prompt) {
  const messages = [{ role: 'user', content: prompt }];
  for await (const item of model.generate({ messages, maxNewTokens: 160 })) {
    if (item.type === 'end') return item;
  }
  throw new Error('a generation ended without its end');
}

/** Shares of right answers by task. */
async function evaluate(name, precision) {
  const model = await openMember(name, precision);
  const asked = new Map();
  const mistakes = [];
  const started = performance.now();
  try {
    for (const { task, prompt, answer: expected } of questions) {
      const score = asked.get(task) ?? { asked: 0, right: 0 };
      if (flags.limit !== undefined && score.asked >= Number(flags.limit)) continue;
      const { text } = await answer(model, prompt);
      asked.set(task, { asked: score.asked + 1, right: score.right + (text === expected ? 1 : 0) });
      if (text !== expected) mistakes.push({ task, prompt, expected, got: text });
    }
    return {
      name,
      precision,
      backend: model.backendReport(),
      seconds: Math.round((performance.now() - started) / 1000),
      tasks: Object.fromEntries(asked),
      mistakes,
    };
  } finally {
    await model.dispose();
  }
}

function printTable(results) {
  const tasks = [...new Set(results.flatMap(({ tasks }) => Object.keys(tasks)))];
  const percent = (score) => (score ? `${((100 * score.right) / score.asked).toFixed(0)}` : '–');
  console.log(`| Task | ${results.map(({ name, precision }) => `${name} ${precision}`).join(' | ')} |`);
  console.log(`|---|${results.map(() => '--:|').join('')}`);
  for (const task of tasks) {
    console.log(`| ${task} | ${results.map((result) => percent(result.tasks[task])).join(' | ')} |`);
  }
  const mean = ({ tasks: scores }) => {
    const shares = Object.values(scores).map(({ asked, right }) => (100 * right) / asked);
    return (shares.reduce((sum, share) => sum + share, 0) / shares.length).toFixed(1);
  };
  console.log(`| mean of the tasks | ${results.map(mean).join(' | ')} |`);
}

/** Every n-th question, so that each task has its part. */
function sampleOf(count) {
  const step = questions.length / Math.min(count, questions.length);
  return Array.from({ length: Math.min(count, questions.length) }, (_, i) => questions[Math.floor(i * step)]);
}

/** Compares the ids of both implementations; returns how many answers differ. */
async function comparePython(name) {
  const sample = sampleOf(Number(flags.sample));
  const model = await openMember(name, 'bf16');
  try {
    const prompts = sample.map(({ prompt }) => [...model.encodeChat([{ role: 'user', content: prompt }])]);
    const folder = join(resolve(flags.folder), name);
    const output = execFileSync(flags.python, [join(here, 'answers.py'), folder], { input: JSON.stringify(prompts) });
    const theirs = JSON.parse(output.toString('utf8'));
    let different = 0;
    for (const [index, { prompt }] of sample.entries()) {
      const { ids, text } = await answer(model, prompt);
      if (JSON.stringify([...ids]) === JSON.stringify(theirs[index])) continue;
      different += 1;
      console.log(`  ${JSON.stringify(prompt)}: ${JSON.stringify(text)} [${ids}], PyTorch [${theirs[index]}]`);
    }
    console.log(`${name}: ${sample.length - different} of ${sample.length} answers are the same, token by token`);
    return different;
  } finally {
    await model.dispose();
  }
}

if (flags['against-python']) {
  let different = 0;
  for (const name of names) different += await comparePython(name);
  process.exitCode = different === 0 ? 0 : 1;
} else {
  const results = [];
  for (const name of names) {
    for (const precision of flags.precisions.split(',')) results.push(await evaluate(name, precision));
  }
  printTable(results);
  if (flags.out !== undefined) writeFileSync(flags.out, `${JSON.stringify({ results }, undefined, 1)}\n`);
}
