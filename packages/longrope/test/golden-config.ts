import type { GoldenCase } from '@phiblocks/testing';
import type { FactorList, RopeScaling, RotaryConfig } from '../src/index.ts';

interface RopeJson {
  type: RopeScaling['type'];
  short_factor: number[];
  long_factor: number[];
  short_mscale?: number;
  long_mscale?: number;
  original_max_position_embeddings?: number;
}

/** The rotary part of a checkpoint's `config.json`, of any member of the family. */
export function rotaryConfigOf(json: Record<string, unknown>): RotaryConfig {
  const scaling = (json.rope_scaling ?? undefined) as RopeJson | undefined;
  return {
    headDim: (json.hidden_size as number) / (json.num_attention_heads as number),
    ropeTheta: (json.rope_theta ?? json.rope_embedding_base) as number,
    partialRotaryFactor: json.partial_rotary_factor as number | undefined,
    maxPositionEmbeddings: json.max_position_embeddings as number,
    originalMaxPositionEmbeddings: (scaling?.original_max_position_embeddings ??
      json.original_max_position_embeddings) as number | undefined,
    ropePositionScale: json.rope_position_scale as number | undefined,
    ropeScaling: scaling && {
      type: scaling.type,
      shortFactor: scaling.short_factor,
      longFactor: scaling.long_factor,
      // The code published with Phi-3-small takes 1 where its file has no short_mscale, and the formula where it has no
      // long_mscale. The other members take the formula for both.
      shortMscale: scaling.short_mscale ?? (json.model_type === 'phi3small' ? 1 : undefined),
      longMscale: scaling.long_mscale,
    },
  };
}

/** The runs of a language-model case with the list that the reference used for each. */
export function runsOf(golden: GoldenCase): { name: string; length: number; list: FactorList }[] {
  return golden.description.runs!.map((run) => ({
    name: run.name,
    length: run.prompt_length,
    list: run.rope_branch_of_prompt as FactorList,
  }));
}

/** Both halves of every row: the reference stores `[T, R]`, the half twice. */
export function doubled(half: Float32Array, numPairs: number): Float32Array {
  const whole = new Float32Array(2 * half.length);
  for (let t = 0; t * numPairs < half.length; t++) {
    const row = half.subarray(t * numPairs, (t + 1) * numPairs);
    whole.set(row, 2 * t * numPairs);
    whole.set(row, (2 * t + 1) * numPairs);
  }
  return whole;
}

export const languageCases = [
  'phi3-bf16-a',
  'phi3-gqa4-a',
  'phi3-longrope-a',
  'phi3-mha-a',
  'phi3-partial-tied-a',
  'phi3-su-gqa-a',
  'phi3-window-a',
  'phi3small-128k-a',
  'phi3small-8k-a',
  'phi3small-bf16-clamp-a',
  'phi3small-homo-a',
  'phi3small-stride-a',
  'phimoe-16experts-a',
  'phimoe-bf16-a',
  'phimoe-longrope-a',
  'phimoe-window-nobias-a',
];
