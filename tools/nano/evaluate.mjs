// Asks the nano models what their data never contained, with the project's own runtime, and prints the shares of right answers.
//
//   node tools/nano/evaluate.mjs [NAME …] [--folder DIR] [--precisions bf16,q4_0,q4_k] [--out FILE.json]
//     [--limit N: questions of a task] [--samples 50: pass keys of a length] [--pictures 600: questions about pictures]
//   node tools/nano/evaluate.mjs [NAME …] --against-python [--sample 200] [--python /usr/bin/python3]
//
// Without names: all members. The second form answers a sample with the trainer's PyTorch code too and compares the token ids.
// Build the packages first.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as passKeys from './evaluation/pass-keys.mjs';
import * as pictures from './evaluation/pictures.mjs';
import * as textQuestions from './evaluation/text-questions.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: join(here, '../../packages/nano/models') },
    precisions: { type: 'string', default: 'bf16,q4_0,q4_k' },
    limit: { type: 'string', default: '100' },
    samples: { type: 'string', default: '50' },
    pictures: { type: 'string', default: '600' },
    out: { type: 'string' },
    'against-python': { type: 'boolean', default: false },
    sample: { type: 'string', default: '200' },
    python: { type: 'string', default: '/usr/bin/python3' },
  },
});
const counts = {
  limit: Number(flags.limit),
  samples: Number(flags.samples),
  pictures: Number(flags.pictures),
};

/** What each member is asked, and which part of a sample for PyTorch is of it. */
const examsOfMembers = new Map([
  ['nano-mini', [{ exam: textQuestions, part: 1 }]],
  [
    'nano-mini-long',
    [
      { exam: textQuestions, part: 0.8 },
      { exam: passKeys, part: 0.2 },
    ],
  ],
  ['nano-small', [{ exam: textQuestions, part: 1 }]],
  ['nano-medium', [{ exam: textQuestions, part: 1 }]],
  ['nano-moe', [{ exam: textQuestions, part: 1 }]],
  ['nano-vision', [{ exam: pictures, part: 1 }]],
]);
for (const name of positionals) {
  if (!examsOfMembers.has(name))
    throw new Error(`the members are ${[...examsOfMembers.keys()].join(', ')}, not ${name}`);
}
const names = positionals.length > 0 ? positionals : [...examsOfMembers.keys()];
const folderOf = (name) => join(resolve(flags.folder), name);

/** A table of one kind of exam: a column for every member, or for every variant of the only member. */
function printTable(exam, results) {
  const percent = ({ asked, right }) => (100 * right) / asked;
  const members = [...new Set(results.map(({ name }) => name))];
  const columns =
    members.length === 1
      ? results.map((result) => [result])
      : members.map((name) => results.filter((result) => result.name === name));
  const line = (cell) => columns.map((column) => column.map(cell).join(' / ')).join(' | ');
  const variants = columns[0].map(({ variant }) => variant).join(' / ');
  const heads = members.length === 1 ? line(({ name, variant }) => `${name} ${variant}`) : members.join(' | ');
  console.log(`\n| ${exam.title}${members.length === 1 ? '' : `, ${variants}`} | ${heads} |`);
  console.log(`|---|${columns.map(() => '--:|').join('')}`);
  for (const row of new Set(results.flatMap(({ scores }) => [...scores.keys()]))) {
    const cells = line(({ scores }) => percent(scores.get(row)).toFixed(0));
    console.log(`| ${row} (${results[0].scores.get(row).asked}) | ${cells} |`);
  }
  if (exam === passKeys) return; // the longest is what counts
  const mean = ({ scores }) => [...scores.values()].reduce((sum, score) => sum + percent(score), 0) / scores.size;
  console.log(`| mean | ${line((result) => mean(result).toFixed(1))} |`);
}

async function evaluateAll() {
  const results = [];
  for (const exam of [textQuestions, passKeys, pictures]) {
    const ofExam = [];
    for (const name of names.filter((name) => examsOfMembers.get(name).some((entry) => entry.exam === exam))) {
      for (const variant of [...flags.precisions.split(','), ...(exam.variants ?? [])]) {
        const started = performance.now();
        const { scores, mistakes, backend } = await exam.evaluate(folderOf(name), variant, counts);
        const seconds = Math.round((performance.now() - started) / 1000);
        ofExam.push({ name, variant, exam: exam.title, scores, mistakes, backend, seconds });
        console.error(`${name} ${variant}, ${exam.title.toLowerCase()}: ${seconds} s`);
      }
    }
    if (ofExam.length > 0) printTable(exam, ofExam);
    results.push(...ofExam);
  }
  if (flags.out !== undefined) {
    const written = results.map((result) => ({ ...result, scores: Object.fromEntries(result.scores) }));
    writeFileSync(flags.out, `${JSON.stringify({ results: written }, undefined, 1)}\n`);
  }
}

/** What PyTorch answers to the same questions, and whatever it made of them on its own. */
function answersOfPython(exam, folder, answers) {
  const input = JSON.stringify(exam.questionsForPython?.(answers) ?? answers);
  const program = join(here, exam === pictures ? 'vision/answers.py' : 'answers.py');
  return JSON.parse(execFileSync(flags.python, [program, folder], { input, maxBuffer: 2 ** 28 }).toString('utf8'));
}

/** Compares the ids of both implementations; returns how many answers differ. */
async function comparePython(name) {
  let asked = 0;
  let different = 0;
  for (const { exam, part } of examsOfMembers.get(name)) {
    const answers = await exam.answersOf(folderOf(name), Math.round(part * Number(flags.sample)));
    const theirs = answersOfPython(exam, folderOf(name), answers);
    for (const [index, ours] of answers.entries()) {
      asked += 1;
      const other = Object.entries(theirs[index]).filter(
        ([key, value]) => JSON.stringify(ours[key]) !== JSON.stringify(value),
      );
      if (other.length === 0) continue;
      different += 1;
      for (const [key, value] of other) console.log(`  ${ours.name}: ${key} [${ours[key]}], PyTorch [${value}]`);
    }
  }
  console.log(`${name}: ${asked - different} of ${asked} answers are the same as PyTorch's, token by token`);
  return different;
}

if (flags['against-python']) {
  let different = 0;
  for (const name of names) different += await comparePython(name);
  process.exitCode = different === 0 ? 0 : 1;
} else {
  await evaluateAll();
}
