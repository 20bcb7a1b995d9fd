// Pass keys in long texts: samples and scores are those of @phiblocks/evals.
import {
  createTaskSample,
  evaluatedModel,
  runEvaluation,
  withLongFactors,
} from '../../../packages/evals/dist/index.js';
import { greedyAnswer, openMember } from './open-member.mjs';

export const title = 'Pass keys within';

const lengths = [256, 512, 1024, 2048];
const seed = 1;

/** What the model is without the factors, beside the precisions. */
const without = new Map([
  [
    'all factors 1',
    (checkpoint) =>
      withLongFactors(
        checkpoint,
        checkpoint.config.ropeScaling.longFactor.map(() => 1),
      ),
  ],
  ['no rope scaling', (checkpoint) => ({ ...checkpoint, config: { ...checkpoint.config, ropeScaling: undefined } })],
]);
export const variants = [...without.keys()];

/** Keys found by length. `variant` is a precision, or the name of what is left out in bfloat16. */
export async function evaluate(folder, variant, { samples }) {
  const change = without.get(variant);
  const model = await openMember(folder, change ? 'bf16' : variant, change);
  try {
    const { records } = await runEvaluation(evaluatedModel(model), {
      kind: 'long-context',
      suite: 'passkey',
      lengths,
      samples,
      seed,
    });
    const scores = new Map(
      lengths.map((length) => {
        const asked = records.filter((record) => record.length === length);
        return [`${length} tokens`, { asked: asked.length, right: asked.filter(({ score }) => score === 1).length }];
      }),
    );
    const mistakes = records
      .filter(({ score }) => score !== 1)
      .map(({ key, references, output }) => ({ key, expected: references, got: output }));
    return { scores, mistakes, backend: model.backendReport() };
  } finally {
    await model.dispose();
  }
}

/** Prompts that hide a pass key, of each length in turn, and what the model answers to them. */
export async function answersOf(folder, size) {
  const model = await openMember(folder, 'bf16');
  const counted = evaluatedModel(model);
  try {
    const answers = [];
    for (let index = 0; index < size; index++) {
      const length = lengths[index % lengths.length];
      const countTokens = (prompt) => counted.countTokens(prompt);
      const { prompt, maxNewTokens } = createTaskSample('passkey', { length, seed, index, countTokens });
      const messages = [{ role: 'user', content: prompt }];
      const { ids } = await greedyAnswer(model, { messages, maxNewTokens });
      answers.push({
        name: `pass key ${index} within ${length} tokens`,
        prompt: [...model.encodeChat(messages)],
        maxNewTokens,
        answer: [...ids],
      });
    }
    return answers;
  } finally {
    await model.dispose();
  }
}
