import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeAffineBlock } from '../quantizers/affine-block.ts';
import { packFiveBits, unpackFiveBits } from './five-bits.ts';

/**
 * Q5_1: 32 weights in 24 bytes, a float16 scale d, a float16 minimum m, the 32 fifth bits, and 16 bytes of nibbles.
 * `w = d · q + m` with `q = nibble + 16 · bit`
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q5_1).
 *
 * @internal
 */
export const q5_1: BlockFormat = {
  weightsPerBlock: 32,
  bytesPerBlock: 24,
  weightsPerGroup: 32,
  lowestCode: 0,
  highestCode: 31,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = halfAt(bytes, at + 2);
    block.scaleCodes[0] = 1;
    block.minimumCodes[0] = 1;
    unpackFiveBits(bytes, at + 4, block.codes, 0);
  },
  pack({ d, m, codes }, bytes, at) {
    setHalf(bytes, at, d);
    setHalf(bytes, at + 2, m);
    packFiveBits(codes, 0, bytes, at + 4);
  },
  quantize(job, block) {
    quantizeAffineBlock(q5_1, job, block);
  },
};
