import type { ModelConfig } from '@phiblocks/weights';
import { checkOf, measureWithin } from '../compare.ts';
import type { CheckContext, Findings } from '../context.ts';
import { promptIds } from '../engine/logits.ts';
import type { PartRunner } from '../engine/part-runner.ts';
import { noiseMargin, roundingNoise } from '../engine/sensitivity.ts';
import type { Check } from '../result.ts';

/** Below this a prompt costs so little that it may be long. */
const smallModelInBytes = 64 * 2 ** 20;

/**
 * A prompt in one piece against the same prompt token by token, in uneven chunks, behind a forgotten beginning, and across
 * the LongRoPE boundary: a cache that holds something else than the prompt shows.
 */
export async function checkCache(context: CheckContext): Promise<Findings> {
  const { checkpoint, implementation, progress } = context;
  const { weights } = checkpoint;
  const sizeInBytes = [...weights.tensors.values()].reduce((sum, tensor) => sum + tensor.sizeInBytes, 0);
  const wanted = sizeInBytes <= smallModelInBytes ? 40 : 8;
  const { config, boundary, note } = nearBoundary(checkpoint.config, wanted);
  const ids = promptIds({ config, tokenizer: checkpoint.tokenizer }, Math.min(wanted, config.maxPositionEmbeddings));
  const width = config.vocabSize;
  const runner = await context.makeRunner({ config });
  const checks: Check[] = [];
  const steps = boundary === undefined ? 5 : 7;
  let done = 0;
  const step = (): void => progress(++done, steps);
  try {
    const feed = (sizes: readonly number[], of = ids): Promise<Float32Array> =>
      feedIn(runner, implementation, of, sizes);
    const whole = await feed([ids.length]);
    step();
    const tolerance = await toleranceOf(context, config, ids, whole);
    step();
    const reason = `${noiseMargin} times what rounding noise on the weights does to these logits`;
    const compare = (name: string, got: Float32Array, expected: Float32Array): void => {
      checks.push(checkOf(name, measureWithin(got, expected, tolerance, width, reason)));
    };
    compare('tokenByToken', await feed(ids.length > 1 ? Array(ids.length).fill(1) : [1]), whole);
    step();
    compare('unevenChunks', await feed(unevenSizes(ids.length)), whole);
    step();

    // Forget the second half and run it again: what is left must be as it was.
    const half = Math.ceil(ids.length / 2);
    const sequence = implementation.createSequence(runner.network);
    const first = await sequence.advance(ids.slice(0, half), { logits: 'all', sequenceLength: ids.length });
    await sequence.advance(
      ids.slice(half).map((id) => (id + 1) % width),
      { sequenceLength: ids.length },
    );
    sequence.truncate(half);
    const again = await sequence.advance(ids.slice(half), { logits: 'all', sequenceLength: ids.length });
    sequence.dispose();
    compare('truncated', joined(first.data, again.data), whole);
    step();

    if (boundary !== undefined) {
      // One token at a time from below the boundary to beyond it, each against a fresh run of everything so far.
      const grown = implementation.createSequence(runner.network);
      const start = boundary - 1;
      let got = await grown.advance(ids.slice(0, start));
      for (let length = start; length <= boundary + 2 && length <= ids.length; length++) {
        if (length > start) got = await grown.advance([ids[length - 1]!]);
        const fresh = implementation.createSequence(runner.network);
        const expected = await fresh.advance(ids.slice(0, length));
        fresh.dispose();
        compare(`boundary.length${length}`, got.data, expected.data);
      }
      grown.dispose();
      step();
    }
  } finally {
    await runner.dispose();
  }
  return { checks, reason: `${ids.length} tokens${note}` };
}

/** Where the boundary is too far away to run up to, it is moved near: what a session does at it is the same. */
function nearBoundary(
  config: ModelConfig,
  numTokens: number,
): { config: ModelConfig; boundary: number | undefined; note: string } {
  const { ropeScaling } = config;
  if (!ropeScaling) return { config, boundary: undefined, note: '; the member has no LongRoPE boundary' };
  const boundary = ropeScaling.originalMaxPositionEmbeddings;
  if (boundary + 2 <= numTokens) return { config, boundary, note: `, across the LongRoPE boundary at ${boundary}` };
  const moved = Math.max(3, Math.floor(numTokens / 2));
  return {
    config: {
      ...config,
      originalMaxPositionEmbeddings: moved,
      ropeScaling: { ...ropeScaling, originalMaxPositionEmbeddings: moved },
    },
    boundary: moved,
    note: `, the LongRoPE boundary moved from ${boundary} to ${moved} for this suite`,
  };
}

async function feedIn(
  runner: PartRunner,
  { createSequence }: CheckContext['implementation'],
  ids: Int32Array,
  sizes: readonly number[],
): Promise<Float32Array> {
  const sequence = createSequence(runner.network, { prefillChunkSize: Math.max(...sizes) });
  const out = new Float32Array(ids.length * runner.config.vocabSize);
  let at = 0;
  for (const size of sizes) {
    const { data } = await sequence.advance(ids.slice(at, at + size), { logits: 'all', sequenceLength: ids.length });
    out.set(data, at * runner.config.vocabSize);
    at += size;
  }
  sequence.dispose();
  return out;
}

async function toleranceOf(
  context: CheckContext,
  config: ModelConfig,
  ids: Int32Array,
  whole: Float32Array,
): Promise<number> {
  const noisy = await context.makeRunner({ config, transform: roundingNoise(1) });
  try {
    const shaken = await feedIn(noisy, context.implementation, ids, [ids.length]);
    let largest = 0;
    for (let i = 0; i < whole.length; i++) largest = Math.max(largest, Math.abs(shaken[i]! - whole[i]!));
    return noiseMargin * largest;
  } finally {
    await noisy.dispose();
  }
}

function unevenSizes(length: number): number[] {
  const sizes: number[] = [];
  for (let rest = length, size = 1; rest > 0; size = (size * 3 + 1) % 11 || 5) {
    sizes.push(Math.min(size, rest));
    rest -= sizes.at(-1)!;
  }
  return sizes;
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const out = new Float32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
