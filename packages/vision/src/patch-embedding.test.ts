import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { patchEmbedding } from './patch-embedding.ts';

describe('patchEmbedding', () => {
  it('is a convolution whose stride is its kernel size', () => {
    const random = createSeededRandom(9);
    const [width, height, patchSize, channels, outSize] = [10, 7, 3, 3, 5];
    const pixels = { data: random.normals(channels * height * width), shape: [channels, height, width] };
    const patchLength = channels * patchSize * patchSize;
    const weight = { data: random.normals(outSize * patchLength), shape: [outSize, patchLength] };
    const expected: number[] = [];
    // 7 rows hold two patches and a rest, 10 columns three and a rest.
    for (let top = 0; top + patchSize <= height; top += patchSize) {
      for (let left = 0; left + patchSize <= width; left += patchSize) {
        for (let out = 0; out < outSize; out++) {
          let sum = 0;
          for (let channel = 0; channel < channels; channel++) {
            for (let y = 0; y < patchSize; y++) {
              for (let x = 0; x < patchSize; x++) {
                const tap = ((out * channels + channel) * patchSize + y) * patchSize + x;
                sum += weight.data[tap]! * pixels.data[(channel * height + top + y) * width + left + x]!;
              }
            }
          }
          expected.push(sum);
        }
      }
    }
    const embedded = patchEmbedding(pixels, weight, patchSize);
    expect(embedded.shape).toEqual([6, outSize]);
    expectClose(embedded.data, expected, { relative: 2 ** -23, absolute: 1e-9, reason: 'float64, rounded once' });
  });

  it('rejects what does not fit', () => {
    const pixels = { data: new Float32Array(12), shape: [3, 2, 2] };
    expect(() => patchEmbedding(pixels, { data: new Float32Array(4), shape: [1, 4] }, 2)).toThrow(
      'SHAPE patchEmbedding(weight): expected shape [any, 12], got [1, 4]',
    );
    expect(() => patchEmbedding(pixels, pixels, 0)).toThrow(/^ARGUMENT patchEmbedding\(patchSize\)/);
    expect(() => patchEmbedding({ data: new Float32Array(4), shape: [2, 2] }, pixels, 1)).toThrow(/^SHAPE/);
  });
});
