import type { WeightFormat } from '@phiblocks/tensor';

/** How the blocks of a format become small integers with a scale per group. A weight is `(integer - zero) · scale (+ offset)`. */
export interface PackedFormat {
  /** Bits of an integer. */
  readonly bits: number;
  /** Weights that share a scale. */
  readonly groupSize: number;
  readonly zero: number;
  /** Whether groups have an offset beside the scale. */
  readonly hasOffset: boolean;
}

/** The formats that are held packed. F32, F16 and BF16 are held as float32. */
export const packedFormats: Partial<Record<WeightFormat, PackedFormat>> = {
  Q4_0: { bits: 4, groupSize: 32, zero: 8, hasOffset: false },
  Q4_1: { bits: 4, groupSize: 32, zero: 0, hasOffset: true },
  Q5_0: { bits: 5, groupSize: 32, zero: 16, hasOffset: false },
  Q5_1: { bits: 5, groupSize: 32, zero: 0, hasOffset: true },
  Q8_0: { bits: 8, groupSize: 32, zero: 128, hasOffset: false },
  Q4_K: { bits: 4, groupSize: 32, zero: 0, hasOffset: true },
  Q5_K: { bits: 5, groupSize: 32, zero: 0, hasOffset: true },
  Q6_K: { bits: 6, groupSize: 16, zero: 32, hasOffset: false },
};

/** How integers lie in words. */
export interface PackedLayout extends PackedFormat {
  readonly valuesPerWord: number;
  readonly wordsPerGroup: number;
}

/**
 * The layout of a format.
 *
 * @param wordBits - 24 where words are floats, which hold whole numbers up to 2^24 exactly; 16 where two words share an
 * integer of 32 bits
 */
export function packedLayout(format: PackedFormat, wordBits: 16 | 24): PackedLayout {
  const valuesPerWord = Math.floor(wordBits / format.bits);
  return { ...format, valuesPerWord, wordsPerGroup: Math.ceil(format.groupSize / valuesPerWord) };
}
