import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeAffineSuperBlock } from '../quantizers/affine-super-block.ts';
import { packSixBitScales, unpackSixBitScales } from './six-bit-scales.ts';

/**
 * Q4_K: 256 weights in 144 bytes, float16 d and dmin, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles.
 * `w = d · scale · q − dmin · minimum`, scale and minimum shared by 32 weights.
 *
 * Four chunks of 64 weights; in chunk c the low nibbles of its 32 bytes are the first 32 weights, the high ones the rest.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q4_K).
 *
 * @internal
 */
export const q4_k: BlockFormat = {
  weightsPerBlock: 256,
  bytesPerBlock: 144,
  weightsPerGroup: 32,
  lowestCode: 0,
  highestCode: 15,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = -halfAt(bytes, at + 2);
    unpackSixBitScales(bytes, at + 4, block.scaleCodes, block.minimumCodes);
    for (let chunk = 0; chunk < 4; chunk++) {
      for (let l = 0; l < 32; l++) {
        const nibbles = bytes[at + 16 + 32 * chunk + l]!;
        block.codes[64 * chunk + l] = nibbles & 15;
        block.codes[64 * chunk + 32 + l] = nibbles >> 4;
      }
    }
  },
  pack({ d, m, scaleCodes, minimumCodes, codes }, bytes, at) {
    setHalf(bytes, at, d);
    setHalf(bytes, at + 2, 0 - m); // not -m, which would make −0 of 0
    packSixBitScales(scaleCodes, minimumCodes, bytes, at + 4);
    for (let chunk = 0; chunk < 4; chunk++) {
      for (let l = 0; l < 32; l++) {
        bytes[at + 16 + 32 * chunk + l] = codes[64 * chunk + l]! | (codes[64 * chunk + 32 + l]! << 4);
      }
    }
  },
  quantize(job, block) {
    quantizeAffineSuperBlock(q4_k, job, block);
  },
};
