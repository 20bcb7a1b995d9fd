import type { WeightFormat, WeightMatrix } from '@phiblocks/tensor';
import type { SeededRandom } from '@phiblocks/testing';
import { createWeightMatrix } from '@phiblocks/weights';
import { type Matrix, matrix } from './definitions.ts';

interface Block {
  readonly weights: number;
  readonly bytes: number;
  /** Where the float16 numbers of a block lie; every other byte may be anything. */
  readonly halves: readonly number[];
}

// llama.cpp `ggml/src/ggml-common.h`.
const blocks: Record<WeightFormat, Block> = {
  F32: { weights: 1, bytes: 4, halves: [] },
  F16: { weights: 1, bytes: 2, halves: [0] },
  BF16: { weights: 1, bytes: 2, halves: [] },
  Q8_0: { weights: 32, bytes: 34, halves: [0] },
  Q4_0: { weights: 32, bytes: 18, halves: [0] },
  Q4_1: { weights: 32, bytes: 20, halves: [0, 2] },
  Q5_0: { weights: 32, bytes: 22, halves: [0] },
  Q5_1: { weights: 32, bytes: 24, halves: [0, 2] },
  Q4_K: { weights: 256, bytes: 144, halves: [0, 2] },
  Q5_K: { weights: 256, bytes: 176, halves: [0, 2] },
  Q6_K: { weights: 256, bytes: 210, halves: [208] },
};

/** Every format that a backend must run. */
export function allFormats(): WeightFormat[] {
  return ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K', 'Q6_K'];
}

/** True for the formats of blocks that share a scale. */
export function isBlockFormat(format: WeightFormat): boolean {
  return blocks[format].weights > 1;
}

/** How many weights of a row share a block. */
export function weightsPerBlock(format: WeightFormat): number {
  return blocks[format].weights;
}

/**
 * A matrix whose quantized values are any bytes: also those that a quantizer would hardly choose. Float16 numbers in it are
 * finite, of either sign, now and then zero or subnormal.
 */
export function randomWeight(
  random: SeededRandom,
  format: WeightFormat,
  rows: number,
  columns: number,
): { weight: WeightMatrix; values: Matrix } {
  const block = blocks[format];
  const bytes = new Uint8Array(((rows * columns) / block.weights) * block.bytes);
  const view = new DataView(bytes.buffer);
  if (format === 'F32') {
    for (let at = 0; at < bytes.length; at += 4) view.setFloat32(at, random.normal() * 0.1, true);
  } else if (format === 'BF16') {
    // The upper half of a float32.
    const float = new DataView(new ArrayBuffer(4));
    for (let at = 0; at < bytes.length; at += 2) {
      float.setFloat32(0, random.normal() * 0.1);
      view.setUint16(at, float.getUint16(0), true);
    }
  } else {
    for (let at = 0; at < bytes.length; at++) bytes[at] = random.integer(256);
    for (let at = 0; at < bytes.length; at += block.bytes) {
      for (const half of block.halves) view.setUint16(at + half, randomHalf(random), true);
    }
  }
  const weight = createWeightMatrix(format, [rows, columns], bytes);
  const values = new Float64Array(rows * columns);
  const row = new Float32Array(columns);
  for (let r = 0; r < rows; r++) {
    weight.dequantizeRow(r, row);
    values.set(row, r * columns);
  }
  return { weight, values: matrix(values, rows, columns) };
}

/** A float16 between 2^-11 and 2^-5 in magnitude, one in 32 of them zero or subnormal. */
function randomHalf(random: SeededRandom): number {
  const sign = random.integer(2) << 15;
  const exponent = random.integer(32) === 0 ? 0 : 4 + random.integer(6);
  return sign | (exponent << 10) | random.integer(1024);
}
