import type { WeightFormat } from '@phiblocks/tensor';

/** The layouts of `assembly/layouts.ts`. */
export const layouts = {
  float32: 0,
  float16: 1,
  bfloat16: 2,
  nibbles: 3,
  bytes: 4,
  nibblesWithOffset: 5,
  bytesWithOffset: 6,
  bytesInHalves: 7,
} as const;

interface StoredFormat {
  /** The number by which `assembly/pack.ts` knows the format. */
  readonly code: number;
  readonly layout: number;
  readonly weightsPerBlock: number;
  readonly bytesPerBlock: number;
}

/**
 * Every format, the layout that holds its values unchanged, and its blocks in a file (llama.cpp `ggml/src/ggml-common.h`).
 *
 * Codes are written out rather than counted, because `assembly/pack.ts` has the same.
 */
export function storedFormat(format: WeightFormat): StoredFormat {
  switch (format) {
    case 'F32':
      return { code: 0, layout: layouts.float32, weightsPerBlock: 1, bytesPerBlock: 4 };
    case 'F16':
      return { code: 1, layout: layouts.float16, weightsPerBlock: 1, bytesPerBlock: 2 };
    case 'BF16':
      return { code: 2, layout: layouts.bfloat16, weightsPerBlock: 1, bytesPerBlock: 2 };
    case 'Q8_0':
      return { code: 3, layout: layouts.bytes, weightsPerBlock: 32, bytesPerBlock: 34 };
    case 'Q4_0':
      return { code: 4, layout: layouts.nibbles, weightsPerBlock: 32, bytesPerBlock: 18 };
    case 'Q4_1':
      return { code: 5, layout: layouts.nibblesWithOffset, weightsPerBlock: 32, bytesPerBlock: 20 };
    case 'Q5_0':
      return { code: 6, layout: layouts.bytes, weightsPerBlock: 32, bytesPerBlock: 22 };
    case 'Q5_1':
      return { code: 7, layout: layouts.bytesWithOffset, weightsPerBlock: 32, bytesPerBlock: 24 };
    case 'Q4_K':
      return { code: 8, layout: layouts.nibblesWithOffset, weightsPerBlock: 256, bytesPerBlock: 144 };
    case 'Q5_K':
      return { code: 9, layout: layouts.bytesWithOffset, weightsPerBlock: 256, bytesPerBlock: 176 };
    case 'Q6_K':
      return { code: 10, layout: layouts.bytesInHalves, weightsPerBlock: 256, bytesPerBlock: 210 };
  }
}

/** Bytes of one group of 32 columns of quantized activations; `assembly/quantize-activations.ts` has the same. */
export function activationGroupSize(tokensPerTile: 1 | 4, quads: boolean): number {
  if (tokensPerTile === 1) return quads ? 48 : 80;
  return quads ? 176 : 304;
}
