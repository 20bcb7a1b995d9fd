import type { BlockJob, BlockLayout } from '../quantized-block.ts';

// How far from the end of the codes the place of the largest weight is tried, in codes, and in which steps.
const reach = 4;
const step = 0.4;
// Alternating between scale and codes settles after two or three rounds.
const rounds = 4;

/**
 * The scale, in float64, that makes Σ importance · (x − scale · code)² smallest for the weights of one group, over all
 * codes that a trial of scales brings up.
 *
 * For given codes the best scale is Σwxq / Σwq², and the error falls by (Σwxq)² / Σwq². So each trial only chooses codes,
 * by mapping the largest weight to a place at, before or behind the end of the codes. The best trial is then improved by
 * alternating between codes and scale. The largest weight goes to the lowest code's side, the longer one in most formats;
 * trials with the other sign lower the error by less than one part in a thousand.
 *
 * @internal
 */
export function searchSymmetricScale(layout: BlockLayout, job: BlockJob, group: number): number {
  const { weightsPerGroup, lowestCode, highestCode } = layout;
  const { x, searchWeights } = job;
  const first = group * weightsPerGroup;
  const end = first + weightsPerGroup;
  let largest = 0;
  for (let i = first; i < end; i++) if (Math.abs(x[i]!) > Math.abs(largest)) largest = x[i]!;
  if (largest === 0) return 0;

  const span = highestCode - lowestCode;
  const shift = 0.5 - lowestCode;
  let bestGain = 0;
  let bestScale = 0;
  const trials = 1 + Math.round((2 * reach) / step);
  for (let trial = 0; trial < trials + rounds; trial++) {
    const inverse = trial < trials ? (lowestCode - reach + step * trial) / largest : 1 / bestScale;
    let sumXQ = 0;
    let sumQQ = 0;
    for (let i = first; i < end; i++) {
      let shifted = x[i]! * inverse + shift;
      shifted = shifted > 0 ? (shifted > span ? span : shifted | 0) : 0;
      const code = shifted + lowestCode;
      const weighted = searchWeights[i]! * code;
      sumXQ += weighted * x[i]!;
      sumQQ += weighted * code;
    }
    const gain = sumQQ > 0 ? (sumXQ * sumXQ) / sumQQ : 0;
    if (gain > bestGain) {
      bestGain = gain;
      bestScale = sumXQ / sumQQ;
    } else if (trial >= trials) {
      break;
    }
  }
  return bestScale;
}
