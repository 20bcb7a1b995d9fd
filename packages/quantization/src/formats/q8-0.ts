import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeByteBlock } from '../quantizers/symmetric-block.ts';

/**
 * Q8_0: 32 weights in 34 bytes, a float16 scale d and 32 signed bytes q. `w = d · q`
 *
 * Code −128 is readable but never written.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q8_0).
 *
 * @internal
 */
export const q8_0: BlockFormat = {
  weightsPerBlock: 32,
  bytesPerBlock: 34,
  weightsPerGroup: 32,
  lowestCode: -127,
  highestCode: 127,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = -0;
    block.scaleCodes[0] = 1;
    block.minimumCodes[0] = 0;
    for (let j = 0; j < 32; j++) block.codes[j] = bytes[at + 2 + j]!;
  },
  pack({ d, codes }, bytes, at) {
    setHalf(bytes, at, d);
    for (let j = 0; j < 32; j++) bytes[at + 2 + j] = codes[j]!;
  },
  quantize(job, block) {
    quantizeByteBlock(q8_0, job, block);
  },
};
