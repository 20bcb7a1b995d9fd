import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeAffineBlock } from '../quantizers/affine-block.ts';

/**
 * Q4_1: 32 weights in 20 bytes, a float16 scale d, a float16 minimum m, and 16 bytes of nibbles. `w = d · q + m`
 *
 * Byte j holds weights j and j + 16, as in Q4_0.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q4_1).
 *
 * @internal
 */
export const q4_1: BlockFormat = {
  weightsPerBlock: 32,
  bytesPerBlock: 20,
  weightsPerGroup: 32,
  lowestCode: 0,
  highestCode: 15,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = halfAt(bytes, at + 2);
    block.scaleCodes[0] = 1;
    block.minimumCodes[0] = 1;
    for (let j = 0; j < 16; j++) {
      const nibbles = bytes[at + 4 + j]!;
      block.codes[j] = nibbles & 15;
      block.codes[j + 16] = nibbles >> 4;
    }
  },
  pack({ d, m, codes }, bytes, at) {
    setHalf(bytes, at, d);
    setHalf(bytes, at + 2, m);
    for (let j = 0; j < 16; j++) bytes[at + 4 + j] = codes[j]! | (codes[j + 16]! << 4);
  },
  quantize(job, block) {
    quantizeAffineBlock(q4_1, job, block);
  },
};
