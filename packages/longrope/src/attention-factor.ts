import { type FactorList, type RotaryConfig, validateRotaryConfig } from './config.ts';
import { factorsOf } from './inverse-frequencies.ts';

/**
 * A, the number that multiplies every cosine and sine, of queries and of keys, at every length. Attention scores grow by
 * A².
 *
 * With s = maxPositionEmbeddings / originalMaxPositionEmbeddings and L0 = originalMaxPositionEmbeddings: the file's own
 * `shortMscale` or `longMscale` where it has one for the list; else 1 for s ≤ 1; else `sqrt(1 + ln(s) / ln(L0))` for
 * `longrope` and `su`, `0.1 · ln(s) + 1` for `yarn`. Without a list it is 1.
 *
 * Source: `Phi3LongRoPEScaledRotaryEmbedding` and `Phi3YarnScaledRotaryEmbedding` of the published model code;
 * `PhimoeRotaryEmbedding` for the values from the file, which the formula does not give (Phi-3.5-MoE states
 * 1.2432 where it would say 1.1902).
 *
 * @param config - checked by `validateRotaryConfig`
 * @param list - the list in use
 * @returns a float64; the rotary table rounds it to float32
 * @throws Phi3Error `LR_NO_FACTORS` for `short` or `long` without `ropeScaling`
 * @throws ArgumentError, ShapeError, Phi3Error as `validateRotaryConfig`
 * @example
 * const ropeScaling = { type: 'longrope', shortFactor: [1, 1], longFactor: [1, 2] };
 * const config = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 131072, originalMaxPositionEmbeddings: 4096, ropeScaling };
 * attentionFactor(config, 'short'); // => 1.1902380714238083
 */
export function attentionFactor(config: RotaryConfig, list: FactorList): number {
  validateRotaryConfig(config);
  factorsOf('attentionFactor', config, list);
  const scaling = config.ropeScaling;
  if (list === 'none' || scaling === undefined) return 1;
  const mscale = list === 'short' ? scaling.shortMscale : scaling.longMscale;
  if (mscale !== undefined) return mscale;
  const original = config.originalMaxPositionEmbeddings!; // present beside ropeScaling: validateRotaryConfig
  const scale = config.maxPositionEmbeddings / original;
  if (scale <= 1) return 1;
  return scaling.type === 'yarn' ? 0.1 * Math.log(scale) + 1 : Math.sqrt(1 + Math.log(scale) / Math.log(original));
}
