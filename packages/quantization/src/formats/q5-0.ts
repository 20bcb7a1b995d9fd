import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeSignedBlock } from '../quantizers/symmetric-block.ts';
import { packFiveBits, unpackFiveBits } from './five-bits.ts';

/**
 * Q5_0: 32 weights in 22 bytes, a float16 scale d, the 32 fifth bits, and 16 bytes of nibbles. `w = d · (q − 16)` with
 * `q = nibble + 16 · bit`
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q5_0).
 *
 * @internal
 */
export const q5_0: BlockFormat = {
  weightsPerBlock: 32,
  bytesPerBlock: 22,
  weightsPerGroup: 32,
  lowestCode: -16,
  highestCode: 15,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = -0;
    block.scaleCodes[0] = 1;
    block.minimumCodes[0] = 0;
    unpackFiveBits(bytes, at + 2, block.codes, -16);
  },
  pack({ d, codes }, bytes, at) {
    setHalf(bytes, at, d);
    packFiveBits(codes, -16, bytes, at + 2);
  },
  quantize(job, block) {
    quantizeSignedBlock(q5_0, job, block);
  },
};
