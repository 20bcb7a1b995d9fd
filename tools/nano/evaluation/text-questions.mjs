// The held-out questions in words. An answer is right when it is the expected text letter by letter, its working included.
import { readFileSync } from 'node:fs';
import { count, greedyAnswer, openMember } from './open-member.mjs';

export const title = 'Held-out questions';

const questions = JSON.parse(readFileSync(new URL('../held-out-questions.json', import.meta.url), 'utf8'));
const maxNewTokens = 160;
const request = (prompt) => ({ messages: [{ role: 'user', content: prompt }], maxNewTokens });

/** Right answers by task, with at most `limit` questions of each. */
export async function evaluate(folder, precision, { limit }) {
  const model = await openMember(folder, precision);
  const scores = new Map();
  const mistakes = [];
  try {
    for (const { task, prompt, answer } of questions) {
      if ((scores.get(task)?.asked ?? 0) >= limit) continue;
      const { text } = await greedyAnswer(model, request(prompt));
      count(scores, task, text === answer);
      if (text !== answer) mistakes.push({ task, prompt, expected: answer, got: text });
    }
    return { scores, mistakes, backend: model.backendReport() };
  } finally {
    await model.dispose();
  }
}

/** Prompts of every n-th question, so that each task has its part, and what the model answers to them. */
export async function answersOf(folder, size) {
  const model = await openMember(folder, 'bf16');
  try {
    const answers = [];
    for (let i = 0; i < size; i++) {
      const { prompt } = questions[Math.floor((i * questions.length) / size)];
      const promptIds = model.encodeChat([{ role: 'user', content: prompt }]);
      const { ids } = await greedyAnswer(model, request(prompt));
      answers.push({ name: prompt, prompt: [...promptIds], maxNewTokens, answer: [...ids] });
    }
    return answers;
  } finally {
    await model.dispose();
  }
}
