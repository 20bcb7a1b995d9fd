// Held-out questions about drawn pictures: no combination of shapes and colours in them is in the training data. An answer is right
// when it is the expected word.
import { createHash } from 'node:crypto';
import { draw, exam } from '../vision/scenes.mjs';
import { count, greedyAnswer, openMember } from './open-member.mjs';

export const title = 'Held-out questions about pictures';

const seed = 1;
const request = (picture, question) => ({
  messages: [{ role: 'user', content: `<|image_1|>\n${question}` }],
  images: [picture],
  maxNewTokens: 12,
});

/** Right answers by kind of question, of so many questions in all. */
export async function evaluate(folder, precision, { pictures }) {
  const model = await openMember(folder, precision);
  const scores = new Map();
  const mistakes = [];
  try {
    for (const { index, things, kind, question, answer } of exam(seed, 'held-out', pictures)) {
      const { text } = await greedyAnswer(model, request(draw(things), question));
      count(scores, kind, text === answer);
      if (text !== answer) mistakes.push({ index, question, expected: answer, got: text });
    }
    return { scores, mistakes, backend: model.backendReport() };
  } finally {
    await model.dispose();
  }
}

/** Questions with the hash of their picture and the ids of their prompt, and what the model answers. */
export async function answersOf(folder, size) {
  const model = await openMember(folder, 'bf16');
  try {
    const answers = [];
    for (const { index, things, question } of exam(seed, 'held-out', size)) {
      const picture = draw(things);
      const asked = request(picture, question);
      const prompt = model.encodeChat(asked.messages, [model.numImageTokens(picture)]);
      const { ids } = await greedyAnswer(model, asked);
      const pictureHash = createHash('sha256').update(picture.data).digest('hex');
      answers.push({ name: question, index, question, picture: pictureHash, prompt: [...prompt], answer: [...ids] });
    }
    return answers;
  } finally {
    await model.dispose();
  }
}

/** What `vision/answers.py` reads: it draws the pictures itself. */
export const questionsForPython = (answers) => ({
  seed,
  questions: answers.map(({ index, question }) => ({ split: 'held-out', index, question })),
});
