import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeAffineSuperBlock } from '../quantizers/affine-super-block.ts';
import { packSixBitScales, unpackSixBitScales } from './six-bit-scales.ts';

/**
 * Q5_K: 256 weights in 176 bytes, float16 d and dmin, 12 bytes of 6-bit scales and minima, 32 bytes of fifth bits, 128
 * bytes of nibbles. `w = d · scale · q − dmin · minimum` with `q = nibble + 16 · bit`
 *
 * Nibbles as in Q4_K. Byte l of the fifth bits serves position l of all eight groups of 32: bit g is that of group g.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q5_K).
 *
 * @internal
 */
export const q5_k: BlockFormat = {
  weightsPerBlock: 256,
  bytesPerBlock: 176,
  weightsPerGroup: 32,
  lowestCode: 0,
  highestCode: 31,
  unpack(bytes, at, block) {
    block.d = halfAt(bytes, at);
    block.m = -halfAt(bytes, at + 2);
    unpackSixBitScales(bytes, at + 4, block.scaleCodes, block.minimumCodes);
    for (let chunk = 0; chunk < 4; chunk++) {
      for (let l = 0; l < 32; l++) {
        const nibbles = bytes[at + 48 + 32 * chunk + l]!;
        const bits = bytes[at + 16 + l]! >> (2 * chunk);
        block.codes[64 * chunk + l] = (nibbles & 15) | ((bits & 1) << 4);
        block.codes[64 * chunk + 32 + l] = (nibbles >> 4) | ((bits & 2) << 3);
      }
    }
  },
  pack({ d, m, scaleCodes, minimumCodes, codes }, bytes, at) {
    setHalf(bytes, at, d);
    setHalf(bytes, at + 2, 0 - m); // not -m, which would make −0 of 0
    packSixBitScales(scaleCodes, minimumCodes, bytes, at + 4);
    for (let l = 0; l < 32; l++) {
      let bits = 0;
      for (let group = 0; group < 8; group++) bits |= (codes[32 * group + l]! >> 4) << group;
      bytes[at + 16 + l] = bits;
      for (let chunk = 0; chunk < 4; chunk++) {
        const first = codes[64 * chunk + l]! & 15;
        const second = codes[64 * chunk + 32 + l]! & 15;
        bytes[at + 48 + 32 * chunk + l] = first | (second << 4);
      }
    }
  },
  quantize(job, block) {
    quantizeAffineSuperBlock(q5_k, job, block);
  },
};
