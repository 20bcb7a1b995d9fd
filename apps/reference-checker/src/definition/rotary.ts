import type { ModelConfig } from '@phiblocks/weights';
import { stored } from './arithmetic.ts';
import { allocate, type Defined } from './define.ts';

// Rotary position embedding, arXiv:2104.09864; LongRoPE, arXiv:2402.13753 and the code published with the checkpoints.

export type FactorList = 'none' | 'short' | 'long';

/** R, the leading components of a head that rotate. */
export function rotatedWidth({ headDim, partialRotaryFactor }: ModelConfig): number {
  return Math.floor(headDim * partialRotaryFactor + 1e-9);
}

/** The list of a pass whose largest position is `length - 1`. */
export function factorListAt({ ropeScaling }: ModelConfig, length: number): FactorList {
  if (!ropeScaling) return 'none';
  return length > ropeScaling.originalMaxPositionEmbeddings ? 'long' : 'short';
}

/** A: multiplies cosine and sine at every length. */
export function attentionFactorOf(config: ModelConfig, list: FactorList): number {
  const { ropeScaling: scaling, maxPositionEmbeddings, modelType } = config;
  if (!scaling || list === 'none') return 1;
  const stated = list === 'long' ? scaling.longMscale : scaling.shortMscale;
  if (stated !== undefined) return stated;
  // Phi-3-small's own code: a missing short_mscale is 1.
  if (modelType === 'phi3small' && list === 'short') return 1;
  const s = maxPositionEmbeddings / scaling.originalMaxPositionEmbeddings;
  if (s <= 1) return 1;
  return scaling.type === 'yarn'
    ? 1 + Math.log(s) / 10
    : Math.sqrt(1 + Math.log(s) / Math.log(scaling.originalMaxPositionEmbeddings));
}

/** The angle per position of pair `i`, rounded to float32 as the published code rounds it. */
export function inverseFrequency(config: ModelConfig, list: FactorList, i: number): number {
  const exponent = Math.fround((2 * i) / rotatedWidth(config));
  const factor = list === 'none' ? 1 : config.ropeScaling![list === 'long' ? 'longFactor' : 'shortFactor'][i]!;
  return Math.fround(1 / Math.fround(Math.fround(factor) * Math.fround(config.ropeTheta ** exponent)));
}

/** `[positions, R/2]` twice. Angles are float32 by definition: at position 131,071 that is part of the published result. */
export function rotaryTable(
  config: ModelConfig,
  list: FactorList,
  positions: readonly number[],
): { cos: Defined; sin: Defined } {
  const pairs = rotatedWidth(config) / 2;
  const cos = allocate(positions.length, pairs);
  const sin = allocate(positions.length, pairs);
  const factor = Math.fround(attentionFactorOf(config, list));
  const positionScale = config.modelType === 'phi3small' ? config.ropePositionScale : 1;
  for (let i = 0; i < pairs; i++) {
    const frequency = inverseFrequency(config, list, i);
    for (const [row, position] of positions.entries()) {
      const angle = Math.fround(Math.fround(position * positionScale) * frequency);
      const at = row * pairs + i;
      cos.exact[at] = factor * Math.cos(angle);
      sin.exact[at] = factor * Math.sin(angle);
      const budget = factor * (2 ** -22 * Math.abs(angle) + 4 * stored);
      cos.budget[at] = budget;
      sin.budget[at] = budget;
    }
  }
  return { cos, sin };
}

/**
 * Heads `[rows, heads · D]` rotated: component i with component i + R/2, the rest passed through.
 *
 * @param pairs - R/2, the width of the table
 */
export function rotate(
  heads: Float32Array,
  cos: Float32Array,
  sin: Float32Array,
  headDim: number,
  pairs: number,
): Defined {
  const numRows = cos.length / pairs;
  const width = heads.length / numRows;
  const result = allocate(numRows, width);
  for (let at = 0; at < heads.length; at++) {
    const row = Math.floor(at / width);
    const component = at % headDim;
    const x = heads[at]!;
    if (component >= 2 * pairs) {
      result.exact[at] = x;
      continue;
    }
    const pair = component % pairs;
    const c = cos[row * pairs + pair]!;
    const s = sin[row * pairs + pair]!;
    const partner = component < pairs ? -heads[at + pairs]! : heads[at - pairs]!;
    result.exact[at] = x * c + partner * s;
    result.budget[at] = 3 * stored * (Math.abs(x * c) + Math.abs(partner * s));
  }
  return result;
}
