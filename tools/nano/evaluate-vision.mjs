// Asks nano-vision held-out questions about drawn pictures, with the project's own runtime, and prints the share of right answers.
//
//   node tools/nano/evaluate-vision.mjs [--folder DIR] [--precisions bf16,q4_0,q4_k] [--questions 600] [--out FILE.json]
//   node tools/nano/evaluate-vision.mjs --against-python [--sample 200]
//
// No combination of shapes and colours in these pictures is in the training data. An answer is right when it is the expected
// word. The second form answers a sample with the trainer's PyTorch code too and compares pictures and token ids. Build the
// packages first.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createLanguageModel } from '../../packages/runtime/dist/index.js';
import { openCheckpoint } from '../../packages/runtime/dist/node.js';
import { quantizedCheckpoint } from './quantized-checkpoint.mjs';
import { draw, exam } from './vision/scenes.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    folder: { type: 'string', default: join(here, '../../packages/nano/models/nano-vision') },
    precisions: { type: 'string', default: 'bf16,q4_0,q4_k' },
    questions: { type: 'string', default: '600' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
    'against-python': { type: 'boolean', default: false },
    sample: { type: 'string', default: '200' },
    python: { type: 'string', default: '/usr/bin/python3' },
  },
});
const folder = resolve(flags.folder);
const seed = Number(flags.seed);

/** Opens the model at a precision; activations are float32, so that only the weights differ. */
async function openModel(precision) {
  const checkpoint = await openCheckpoint(folder);
  return createLanguageModel(precision === 'bf16' ? checkpoint : quantizedCheckpoint(checkpoint, precision), {
    backend: 'wasm',
    threads: 1,
    backendOptions: { activations: 'f32' },
    numCrops: checkpoint.preprocessorConfig.numCrops,
  });
}

/** The greedy answer to one question about one picture: its text and its ids. */
async function answer(model, picture, question) {
  const messages = [{ role: 'user', content: `<|image_1|>\n${question}` }];
  for await (const item of model.generate({ messages, images: [picture], maxNewTokens: 12 })) {
    if (item.type === 'end') return item;
  }
  throw new Error('a generation ended without its end');
}

/** Shares of right answers by kind of question. */
async function evaluate(precision) {
  const model = await openModel(precision);
  const kinds = new Map();
  const mistakes = [];
  const started = performance.now();
  try {
    for (const { index, things, kind, question, answer: expected } of exam(seed, 'held-out', Number(flags.questions))) {
      const { text } = await answer(model, draw(things), question);
      const score = kinds.get(kind) ?? { asked: 0, right: 0 };
      kinds.set(kind, { asked: score.asked + 1, right: score.right + (text === expected ? 1 : 0) });
      if (text !== expected) mistakes.push({ index, question, expected, got: text });
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    return { precision, backend: model.backendReport(), seconds, kinds: Object.fromEntries(kinds), mistakes };
  } finally {
    await model.dispose();
  }
}

function printTable(results) {
  const percent = ({ asked, right }) => ((100 * right) / asked).toFixed(1);
  const whole = ({ kinds }) =>
    Object.values(kinds).reduce((sum, { asked, right }) => ({ asked: sum.asked + asked, right: sum.right + right }));
  console.log(`| Held-out questions | ${results.map(({ precision }) => precision).join(' | ')} |`);
  console.log(`|---|${results.map(() => '--:|').join('')}`);
  for (const kind of Object.keys(results[0].kinds)) {
    console.log(
      `| ${kind} (${results[0].kinds[kind].asked}) | ${results.map(({ kinds }) => percent(kinds[kind])).join(' | ')} |`,
    );
  }
  console.log(`| all (${whole(results[0]).asked}) | ${results.map((result) => percent(whole(result))).join(' | ')} |`);
}

/** Compares pictures, prompts and answers of both implementations; returns how many differ. */
async function comparePython() {
  const asked = exam(seed, 'held-out', Number(flags.sample));
  const questions = asked.map(({ index, question }) => ({ split: 'held-out', index, question }));
  const input = JSON.stringify({ seed, questions });
  const output = execFileSync(flags.python, [join(here, 'vision/answers.py'), folder], { input, maxBuffer: 2 ** 28 });
  const theirs = JSON.parse(output.toString('utf8'));
  const model = await openModel('bf16');
  let different = 0;
  try {
    for (const [i, { things, question }] of asked.entries()) {
      const picture = draw(things);
      const messages = [{ role: 'user', content: `<|image_1|>\n${question}` }];
      const prompt = model.encodeChat(messages, [model.numImageTokens(picture)]);
      const { ids, text } = await answer(model, picture, question);
      const hash = createHash('sha256').update(picture.data).digest('hex');
      const ours = JSON.stringify([hash, [...prompt], [...ids]]);
      if (ours === JSON.stringify([theirs[i].picture, theirs[i].prompt, theirs[i].answer])) continue;
      different += 1;
      console.log(`  ${JSON.stringify(question)}: ${JSON.stringify(text)} [${ids}], PyTorch [${theirs[i].answer}]`);
    }
  } finally {
    await model.dispose();
  }
  const same = asked.length - different;
  console.log(
    `nano-vision: ${same} of ${asked.length} answers are the same, token by token, to the same prompts and pictures`,
  );
  return different;
}

if (flags['against-python']) {
  process.exitCode = (await comparePython()) === 0 ? 0 : 1;
} else {
  const results = [];
  for (const precision of flags.precisions.split(',')) results.push(await evaluate(precision));
  printTable(results);
  if (flags.out !== undefined) writeFileSync(flags.out, `${JSON.stringify({ results }, undefined, 1)}\n`);
}
