import type { FactorList } from '@phiblocks/longrope';
import type { FloatTensor, TensorHandle } from '@phiblocks/tensor';
import { factorListAt } from '../definition/rotary.ts';
import type { PartRunner } from './part-runner.ts';

export interface ForwardResult {
  /** `[T, V]` */
  readonly logits: Float32Array;
  /** The residual stream, by layer: entry N goes into layer N. */
  readonly hidden: readonly Float32Array[];
}

/** One pass over a prompt from the start: logits of every position, and the residual stream between layers. */
export async function forwardAll(
  runner: PartRunner,
  ids: Int32Array,
  onTensor?: (name: string, tensor: FloatTensor) => void,
): Promise<ForwardResult> {
  const cache = runner.createCache();
  const hidden: Float32Array[] = [];
  try {
    const factorList: FactorList = factorListAt(runner.config, ids.length);
    const { data } = await runner.network.forward(ids, cache, {
      logits: 'all',
      factorList,
      async onTensor(name: string, handle: TensorHandle) {
        const tensor = await runner.backend.read(handle);
        if (name.startsWith('hidden.')) hidden.push(tensor.data);
        onTensor?.(name, tensor);
      },
    });
    return { logits: data, hidden };
  } finally {
    runner.backend.free(cache);
  }
}

/** Tokens of a text, or, without a tokenizer, ids that look like one: seeded, from the whole vocabulary. */
export function promptIds(
  { config, tokenizer }: { config: PartRunner['config']; tokenizer: { encode(text: string): Int32Array } | undefined },
  length: number,
  text = story,
): Int32Array {
  const unused = new Set(config.modelType === 'phi3small' ? config.dummyTokenIndices : []);
  const encoded = tokenizer ? [...tokenizer.encode(text)] : [];
  let state = 12345;
  while (encoded.length < length) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const id = (state >>> 8) % config.vocabSize;
    if (!unused.has(id)) encoded.push(id);
  }
  return Int32Array.from(encoded.slice(0, Math.min(length, config.maxPositionEmbeddings)));
}

/** What is read where no text is given. */
export const story = `Once upon a time, there was a little girl named Mia. She lived in a small house near the forest with her mom \
and her dog Max. One sunny day, Mia and Max went for a walk. They saw a big tree with red apples. Mia wanted an apple, but the \
tree was too tall. "What can we do, Max?" she asked. Max barked and ran around the tree. Then a kind bird came down from the \
sky. "I can help you," said the bird. The bird picked the biggest apple and gave it to Mia. Mia was very happy. She shared the \
apple with Max and the bird, and they all sat in the grass together. The sun was warm and the wind was soft.`;

/** How two sets of logits differ. */
export interface LogitComparison {
  readonly largestDifference: number;
  /** Mean Kullback-Leibler divergence of the second from the first, in nats. */
  readonly klDivergence: number;
  readonly top1Agreement: number;
  /** exp of the mean negative log likelihood of each next token under the second. */
  readonly perplexity: number;
}

/** Compares logits `[T, V]` row by row. */
export function compareLogits(reference: Float32Array, candidate: Float32Array, ids: Int32Array): LogitComparison {
  const rows = ids.length;
  const width = reference.length / rows;
  let largestDifference = 0;
  let divergence = 0;
  let agreements = 0;
  let surprise = 0;
  for (let row = 0; row < rows; row++) {
    const at = row * width;
    const p = logSumExp(reference, at, width);
    const q = logSumExp(candidate, at, width);
    for (let i = at; i < at + width; i++) {
      const difference = Math.abs(candidate[i]! - reference[i]!);
      if (!(difference <= largestDifference))
        largestDifference = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      const logP = reference[i]! - p.logSum;
      const probability = Math.exp(logP);
      if (probability > 0) divergence += probability * (logP - (candidate[i]! - q.logSum));
    }
    if (p.top === q.top) agreements++;
    if (row + 1 < rows) surprise += q.logSum - candidate[at + ids[row + 1]!]!;
  }
  return {
    largestDifference,
    klDivergence: Math.max(0, divergence / rows),
    top1Agreement: agreements / rows,
    perplexity: Math.exp(surprise / Math.max(1, rows - 1)),
  };
}

function logSumExp(logits: Float32Array, at: number, length: number): { logSum: number; top: number } {
  let top = at;
  for (let i = at; i < at + length; i++) if (logits[i]! > logits[top]!) top = i;
  let sum = 0;
  for (let i = at; i < at + length; i++) sum += Math.exp(logits[i]! - logits[top]!);
  return { logSum: logits[top]! + Math.log(sum), top: top - at };
}

export function argmax(logits: ArrayLike<number>): number {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[top]!) top = i;
  return top;
}

/** A sample of differences for a histogram: evenly spread over all. */
export function sampleDifferences(a: ArrayLike<number>, b: ArrayLike<number>, most = 600): number[] {
  const step = Math.max(1, Math.floor(a.length / most));
  const out: number[] = [];
  for (let i = 0; i < a.length; i += step) {
    if (Math.abs(a[i]!) < 1e30) out.push(Number((b[i]! - a[i]!).toPrecision(3)));
  }
  return out;
}
