import { expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { createSmallTower } from '../test/support/small-tower.ts';
import { arrangeFeatures } from './arrange-features.ts';
import { clipEncode } from './clip-encode.ts';
import { embedImage } from './embed-image.ts';
import { preprocessImage } from './preprocess-image.ts';
import { projectFeatures } from './project-features.ts';

// 56-pixel patches: 6 × 6 of them, quick to run. The number of tokens is then not that of the published tower.
const { config, weights } = createSmallTower({ patchSize: 56, seed: 15 });
const picture = { width: 40, height: 20, data: Uint8Array.from({ length: 2400 }, (_, i) => (i * 37) % 256) };
const image = preprocessImage(picture, { numCrops: 3 }); // two crops side by side, one slot unused

describe('embedImage', () => {
  it('is the tower over the used crops, the arrangement and the projector', () => {
    const view = 3 * 336 * 336;
    const encoded = [0, 1, 2].map((crop) => {
      const data = image.pixelValues.data.slice(crop * view, (crop + 1) * view);
      return clipEncode({ data, shape: [3, 336, 336] }, weights.clip, config);
    });
    const features = {
      data: Float32Array.from(encoded.flatMap(({ data }) => Array.from(data))),
      shape: [3, 36, config.hiddenSize],
    };
    const expected = projectFeatures(arrangeFeatures(features, 1, 2, weights.subGn, weights.glbGn), weights.projector);
    const seen: string[] = [];
    const embedded = embedImage(image, weights, config, {
      onTensor: (name, { shape }) => seen.push(`${name} [${shape.join(', ')}]`),
    });
    expect(embedded.shape).toEqual(expected.shape);
    expectClose(embedded.data, expected.data, { reason: 'the same operations' });
    expect(seen).toEqual(['features [3, 36, 4]', 'projectorInput [34, 16]']);
  });

  it('does not look at the unused slots', () => {
    const data = image.pixelValues.data.slice();
    data.fill(Number.NaN, 3 * 3 * 336 * 336);
    const marked = { ...image, pixelValues: { data, shape: image.pixelValues.shape } };
    expect(embedImage(marked, weights, config)).toEqual(embedImage(image, weights, config));
  });

  it('IM-16: rejects pixel values that are not those of the image', () => {
    const taller = { ...image, imageSize: { height: 672, width: 672 } };
    expect(() => embedImage(taller, weights, config)).toThrow(
      'IM_PIXELS embedImage(image.pixelValues): expected at least 5 crops: [5, 3, 336, 336], got [4, 3, 336, 336]',
    );
    const flat = { ...image, pixelValues: { data: image.pixelValues.data, shape: [12, 336, 336] } };
    expect(() => embedImage(flat, weights, config)).toThrow(/^IM_PIXELS/);
    const cut = { ...image, pixelValues: { data: image.pixelValues.data.subarray(1), shape: [4, 3, 336, 336] } };
    expect(() => embedImage(cut, weights, config)).toThrow(/^IM_PIXELS/);
    const odd = { ...image, imageSize: { height: 300, width: 672 } };
    expect(() => embedImage(odd, weights, config)).toThrow(/^IM_SIZE embedImage\(height\)/);
    const misspelt = { onTensor: undefined, observe: 1 };
    expect(() => embedImage(image, weights, config, misspelt)).toThrow(/^OPTION_UNKNOWN embedImage\(observe\)/);
  });
});
