import type { WeightFormat } from '@phiblocks/tensor';
import type { SeededRandom } from '@phiblocks/testing';
import { blockLayout, createWeightMatrix } from '@phiblocks/weights';

export { createWeightMatrix };

/** The formats of blocks, with where the float16 numbers of a block lie. */
const halves: Partial<Record<WeightFormat, readonly number[]>> = {
  Q8_0: [0],
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

export const allFormats = Object.keys(halves) as WeightFormat[];

/** Any bytes, with scales that are finite: of either sign, now and then zero or subnormal. */
export function randomBytes(random: SeededRandom, format: WeightFormat, weights: number): Uint8Array {
  const { weightsPerBlock, bytesPerBlock } = blockLayout(format);
  const bytes = Uint8Array.from({ length: (weights / weightsPerBlock) * bytesPerBlock }, () => random.integer(256));
  for (let block = 0; block < bytes.length; block += bytesPerBlock) {
    // The upper byte of a float16: sign, five bits of exponent, two of fraction.
    for (const half of halves[format]!) bytes[block + half + 1] = (random.integer(2) << 7) | (random.integer(8) << 2);
  }
  return bytes;
}
