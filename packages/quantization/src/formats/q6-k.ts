import { halfAt, setHalf } from '../half-float.ts';
import type { BlockFormat } from '../quantized-block.ts';
import { quantizeSymmetricSuperBlock } from '../quantizers/symmetric-super-block.ts';

/**
 * Q6_K: 256 weights in 210 bytes, 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed byte scales, and last
 * (not first) a float16 d. `w = d · scale · (q − 32)`, a scale shared by 16 weights.
 *
 * Two halves of 128 weights. In a half, position l (0 to 31) of four runs of 32 shares the nibbles of bytes l and l + 32
 * and the four bit pairs of one byte.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q6_K).
 *
 * @internal
 */
export const q6_k: BlockFormat = {
  weightsPerBlock: 256,
  bytesPerBlock: 210,
  weightsPerGroup: 16,
  lowestCode: -32,
  highestCode: 31,
  unpack(bytes, at, block) {
    const { codes } = block;
    block.d = halfAt(bytes, at + 208);
    block.m = -0;
    block.minimumCodes.fill(0);
    for (let group = 0; group < 16; group++) block.scaleCodes[group] = bytes[at + 192 + group]!;
    for (let half = 0; half < 2; half++) {
      for (let l = 0; l < 32; l++) {
        const nibbles = bytes[at + 64 * half + l]!;
        const laterNibbles = bytes[at + 64 * half + 32 + l]!;
        const pairs = bytes[at + 128 + 32 * half + l]!;
        const first = 128 * half + l;
        codes[first] = ((nibbles & 15) | ((pairs & 3) << 4)) - 32;
        codes[first + 32] = ((laterNibbles & 15) | ((pairs & 12) << 2)) - 32;
        codes[first + 64] = ((nibbles >> 4) | (pairs & 48)) - 32;
        codes[first + 96] = ((laterNibbles >> 4) | ((pairs & 192) >> 2)) - 32;
      }
    }
  },
  pack({ d, scaleCodes, codes }, bytes, at) {
    for (let half = 0; half < 2; half++) {
      for (let l = 0; l < 32; l++) {
        const first = 128 * half + l;
        const a = codes[first]! + 32;
        const b = codes[first + 32]! + 32;
        const c = codes[first + 64]! + 32;
        const e = codes[first + 96]! + 32;
        bytes[at + 64 * half + l] = (a & 15) | ((c & 15) << 4);
        bytes[at + 64 * half + 32 + l] = (b & 15) | ((e & 15) << 4);
        bytes[at + 128 + 32 * half + l] = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((e >> 4) << 6);
      }
    }
    for (let group = 0; group < 16; group++) bytes[at + 192 + group] = scaleCodes[group]!;
    setHalf(bytes, at + 208, d);
  },
  quantize(job, block) {
    quantizeSymmetricSuperBlock(q6_k, job, block);
  },
};
