import type { ModelConfig } from '@phiblocks/weights';

/**
 * The published member that a configuration describes, by its sizes and, where two members share them, by their LongRoPE
 * factors; undefined for any other model of the same classes (a tiny one, a changed one).
 *
 * Source: `config.json` of the published checkpoints.
 *
 * @example
 * familyMember(tinyPhi3Config); // => undefined
 */
export function familyMember(config: ModelConfig): string | undefined {
  const { modelType, hiddenSize, numHiddenLayers, numKeyValueHeads, maxPositionEmbeddings, vocabSize } = config;
  const isLong = config.ropeScaling !== undefined && maxPositionEmbeddings === 131072;
  const firstLongFactor = config.ropeScaling?.longFactor[0];
  const sizes = `${modelType} ${hiddenSize} × ${numHiddenLayers}, ${numKeyValueHeads} key/value heads`;
  const is35 = firstLongFactor !== undefined && Math.abs(firstLongFactor - 1.08) < 1e-4;
  switch (sizes) {
    case 'phi3 3072 × 32, 32 key/value heads':
      if (!isLong) return maxPositionEmbeddings === 4096 ? 'Phi-3-mini-4k-instruct' : undefined;
      return is35 ? 'Phi-3.5-mini-instruct' : 'Phi-3-mini-128k-instruct';
    case 'phi3 3072 × 32, 8 key/value heads':
      return vocabSize === 200064 ? 'Phi-4-mini-instruct' : undefined;
    case 'phi3 5120 × 40, 10 key/value heads':
      return isLong ? 'Phi-3-medium-128k-instruct' : 'Phi-3-medium-4k-instruct';
    case 'phi3small 4096 × 32, 8 key/value heads':
      return isLong ? 'Phi-3-small-128k-instruct' : 'Phi-3-small-8k-instruct';
    case 'phimoe 4096 × 32, 8 key/value heads':
      return 'Phi-3.5-MoE-instruct';
    case 'phi3_v 3072 × 32, 32 key/value heads':
      return is35 ? 'Phi-3.5-vision-instruct' : 'Phi-3-vision-128k-instruct';
    default:
      return undefined;
  }
}
