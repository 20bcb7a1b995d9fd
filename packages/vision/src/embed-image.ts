import { expectKnownOptions, type FloatTensor } from '@phiblocks/tensor';
import { arrangeFeatures } from './arrange-features.ts';
import type { ClipConfig } from './clip-config.ts';
import { type ClipWeights, clipEncode } from './clip-encode.ts';
import { ImageError } from './image-error.ts';
import { cropGrid } from './image-token-count.ts';
import type { PreprocessedImage } from './preprocess-image.ts';
import { type ProjectorWeights, projectFeatures } from './project-features.ts';

/** All weights of the image side. C is the tower's width. */
export interface ImageEmbeddingWeights {
  readonly clip: ClipWeights;
  /** `sub_GN`: `[4 · C]` or the checkpoint's `[1, 1, 1, 4·C]` */
  readonly subGn: FloatTensor;
  /** `glb_GN`: `[4 · C]` or the checkpoint's `[1, 1, 4·C]` */
  readonly glbGn: FloatTensor;
  readonly projector: ProjectorWeights;
}

/**
 * From a preprocessed image to the rows that stand for it in the language model: CLIP over the global view and every used
 * crop, 2 × 2 merging, separators, projector.
 *
 * Source: `image_embedding_phi3_v.py`.
 *
 * @param image - from {@link preprocessImage}
 * @param weights - {@link ImageEmbeddingWeights}
 * @param config - for Phi-3-vision {@link clipVitLargePatch14At336}
 * @param options - `onTensor`: sees `features` `[1 + crops, patches, C]` and `projectorInput` `[tokens, 4·C]`
 * @returns `[numImageTokens, hiddenSize]`
 * @throws ImageError `IM_SIZE`, `IM_PIXELS`
 * @throws ShapeError `SHAPE`
 * @throws ArgumentError `ARGUMENT`
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * // `picture` is an RgbImage; `weights` and `config` are those of a small tower for a language model of width 6.
 * const image = preprocessImage(picture, { numCrops: 1 });
 * embedImage(image, weights, config).shape; // => [313, 6]
 */
export function embedImage(
  image: PreprocessedImage,
  weights: ImageEmbeddingWeights,
  config: ClipConfig,
  options: { onTensor?: (name: string, tensor: FloatTensor) => void } = {},
): FloatTensor {
  expectKnownOptions('embedImage', options, ['onTensor']);
  const { numRows, numColumns } = cropGrid('embedImage', image.imageSize.height, image.imageSize.width);
  const { data, shape } = image.pixelValues;
  const numUsed = 1 + numRows * numColumns;
  if (shape.length !== 4 || shape[0]! < numUsed || data.length !== shape.reduce((size, axis) => size * axis, 1)) {
    throw new ImageError({
      code: 'IM_PIXELS',
      function: 'embedImage',
      argument: 'image.pixelValues',
      expected: `at least ${numUsed} crops: [${numUsed}, 3, ${config.imageSize}, ${config.imageSize}]`,
      got: shape,
    });
  }

  const cropShape = shape.slice(1);
  const cropLength = data.length / shape[0]!;
  const crops: FloatTensor[] = [];
  for (let crop = 0; crop < numUsed; crop++) {
    const pixels = { data: data.subarray(crop * cropLength, (crop + 1) * cropLength), shape: cropShape };
    crops.push(clipEncode(pixels, weights.clip, config)); //                             [patches, C]
  }
  const features = stack(crops); //                                                      [1 + crops, patches, C]
  options.onTensor?.('features', features);
  const arranged = arrangeFeatures(features, numRows, numColumns, weights.subGn, weights.glbGn); // [tokens, 4·C]
  options.onTensor?.('projectorInput', arranged);
  return projectFeatures(arranged, weights.projector); //                                [tokens, hiddenSize]
}

function stack(tensors: readonly FloatTensor[]): FloatTensor {
  const { data: first, shape } = tensors[0]!;
  const data = new Float32Array(tensors.length * first.length);
  for (const [index, tensor] of tensors.entries()) data.set(tensor.data, index * first.length);
  return { data, shape: [tensors.length, ...shape] };
}
