import type { LanguageModel } from '@phiblocks/runtime';
import { Phi3Error } from '@phiblocks/tensor';
import type { Prompt } from './sample.ts';

/** A model as evaluations need it: it counts tokens, writes, and scores. Anything that does can be evaluated. */
export interface EvaluatedModel {
  readonly name: string;
  /** The most tokens it holds. */
  readonly contextLength: number;
  /** How prompts are put: in the chat format of the checkpoint, or as plain text to go on with. */
  readonly format: 'chat' | 'plain';
  /** Tokens that a prompt takes, with what the format adds. */
  countTokens(prompt: Prompt): number;
  /** The text that greedy decoding writes behind a prompt. */
  generate(prompt: Prompt, options: { readonly maxNewTokens: number; readonly signal?: AbortSignal }): Promise<string>;
  /** The ids of a plain text, with what the tokenizer puts in front of every text. */
  encode(text: string): Int32Array;
  /**
   * Natural log probability of every token from `from` (at least 1) on, given all before it, `[ids.length - from]`.
   */
  logProbabilities(ids: Int32Array, from: number, signal?: AbortSignal): Promise<Float64Array>;
}

/** Tokens whose logits are in memory at once: 256 rows of 32,064 are 33 MB. */
const rowsAtOnce = 256;

/**
 * Makes a loaded model ready for evaluation.
 *
 * Special tokens written in a prompt stay plain text.
 *
 * @param model - with a tokenizer
 * @param format - default `chat` where the checkpoint has a chat format, else `plain`
 * @throws Phi3Error `TOKENIZER_MISSING`, `CHAT_TEMPLATE_MISSING`
 */
export function evaluatedModel(model: LanguageModel, format?: 'chat' | 'plain'): EvaluatedModel {
  const { tokenizer, config } = model;
  if (tokenizer === undefined) {
    throw new Phi3Error({
      code: 'TOKENIZER_MISSING',
      function: 'evaluatedModel',
      expected: 'a checkpoint with a tokenizer',
      where: { file: model.name },
    });
  }
  const chosen = format ?? (model.chatTemplate === undefined ? 'plain' : 'chat');
  const plain = { parseSpecialTokens: false };
  const idsOf = ({ prompt, answerPrefix }: Prompt): Int32Array => {
    if (chosen === 'plain') return tokenizer.encode(prompt + answerPrefix, plain);
    const question = model.encodeChat([{ role: 'user', content: prompt }]);
    if (answerPrefix === '') return question;
    const start = tokenizer.encode(trimmed(answerPrefix), { ...plain, addSpecialTokens: false });
    const ids = new Int32Array(question.length + start.length);
    ids.set(question);
    ids.set(start, question.length);
    return ids;
  };
  if (chosen === 'chat') idsOf({ prompt: '', answerPrefix: '' }); // a missing template is an error now

  return {
    name: model.name,
    contextLength: config.maxPositionEmbeddings,
    format: chosen,
    countTokens: (prompt) => idsOf(prompt).length,
    async generate(prompt, { maxNewTokens, signal }) {
      const session = model.createSession();
      try {
        let text = '';
        for await (const item of session.generate({ promptIds: idsOf(prompt), maxNewTokens, signal })) {
          if (item.type === 'token') text += item.text;
          else if (item.finishReason === 'aborted') throw aborted('generate', signal);
          else text += item.tail;
        }
        return text;
      } finally {
        session.dispose();
      }
    },
    encode: (text) => tokenizer.encode(text, plain),
    async logProbabilities(ids, from, signal) {
      const session = model.createSession();
      try {
        const out = new Float64Array(ids.length - from);
        // The list of LongRoPE factors is that of the whole sequence, also for its first piece.
        const sequenceLength = ids.length;
        if (from > 1) await session.advance(ids.subarray(0, from - 1), { sequenceLength, signal });
        for (let start = from - 1; start < ids.length - 1; start += rowsAtOnce) {
          const piece = ids.subarray(start, Math.min(start + rowsAtOnce, ids.length - 1));
          const { data } = await session.advance(piece, { logits: 'all', sequenceLength, signal });
          for (let t = 0; t < piece.length; t++) {
            const row = data.subarray(t * config.vocabSize, (t + 1) * config.vocabSize);
            out[start + t + 1 - from] = row[ids[start + t + 1]!]! - logSumExp(row);
          }
        }
        return out;
      } finally {
        session.dispose();
      }
    },
  };
}

/** A chat format ends in a new line or a marker, behind which the tokenizer puts its own space in front of a word. */
function trimmed(answerPrefix: string): string {
  return answerPrefix.trimStart();
}

function logSumExp(row: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of row) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
}

/** The error of work that a signal stopped. */
export function aborted(functionName: string, signal: AbortSignal | undefined): Phi3Error {
  return new Phi3Error({
    code: 'ABORTED',
    function: functionName,
    hint: 'What was complete was reported.',
    cause: signal?.reason,
  });
}
