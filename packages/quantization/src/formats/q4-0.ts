import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeSignedBlock } from '../quantizers/symmetric-block.ts';

/**
 * Q4_0: 32 weights in 18 bytes, a float16 scale d and 16 bytes of nibbles. `w = d · (q − 8)`
 *
 * Byte j holds weight j in its low nibble and weight j + 16 in its high one; the two are not neighbours.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q4_0).
 *
 * @internal
 */
export const q4_0: BlockFormat = {
  weightsPerBlock: 32,
  bytesPerBlock: 18,
  weightsPerGroup: 32,
  lowestCode: -8,
  highestCode: 7,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = -0;
    block.scaleCodes[0] = 1;
    block.minimumCodes[0] = 0;
    for (let j = 0; j < 16; j++) {
      const nibbles = bytes[at + 2 + j]!;
      block.codes[j] = (nibbles & 15) - 8;
      block.codes[j + 16] = (nibbles >> 4) - 8;
    }
  },
  pack({ d, codes }, bytes, at) {
    setHalf(bytes, at, d);
    for (let j = 0; j < 16; j++) bytes[at + 2 + j] = (codes[j]! + 8) | ((codes[j + 16]! + 8) << 4);
  },
  quantize(job, block) {
    quantizeSignedBlock(q4_0, job, block);
  },
};
