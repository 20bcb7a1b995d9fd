import { expectShape, type FloatTensor } from '@phiblocks/tensor';
import { locateImages } from './locate-images.ts';

/**
 * Overwrites the rows of image positions by the projected features of the images.
 *
 * Source: `image_embedding_phi3_v.py`: ids are clamped to 0 from below for the embedding lookup, so those rows hold
 * something; then they are replaced.
 *
 * @param embeddings - `[T, C]`, the embeddings of all ids with negative ones taken as 0; not written to
 * @param ids - `T` ids; negative ones stand for images
 * @param features - per image `[numImageTokens, C]`, in order ({@link embedImage})
 * @returns `[T, C]`
 * @throws ShapeError `SHAPE`
 * @throws ImageError `IM_COUNT`, `IM_PLACEHOLDER`, `IM_TOKENS` ({@link locateImages})
 * @example
 * const embeddings = { data: Float32Array.of(7, 0, 0, 8), shape: [4, 1] };
 * writeImageFeatures(embeddings, [5, -1, -1, 6], [{ data: Float32Array.of(1, 2), shape: [2, 1] }]).data; // => [7, 1, 2, 8]
 */
export function writeImageFeatures(
  embeddings: FloatTensor,
  ids: ArrayLike<number>,
  features: readonly FloatTensor[],
): FloatTensor {
  expectShape(embeddings, [ids.length, null], { function: 'writeImageFeatures', argument: 'embeddings' });
  const hiddenSize = embeddings.shape[1]!;
  for (const [index, feature] of features.entries()) {
    expectShape(feature, [null, hiddenSize], { function: 'writeImageFeatures', argument: `features[${index}]` });
  }
  const starts = locateImages(
    ids,
    features.map(({ shape }) => shape[0]!),
  );
  const data = embeddings.data.slice();
  for (const [index, { data: feature }] of features.entries()) data.set(feature, starts[index]! * hiddenSize);
  return { data, shape: embeddings.shape };
}
