import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor } from '@phiblocks/tensor';
import { type ClipConfig, expectClipConfig } from './clip-config.ts';
import { fullAttention } from './full-attention.ts';
import { ImageError } from './image-error.ts';
import { type LayerNormWeights, layerNorm } from './layer-norm.ts';
import { type LinearWeights, linear } from './linear.ts';
import { patchEmbedding } from './patch-embedding.ts';
import { quickGelu } from './quick-gelu.ts';

/** Weights of one layer of the tower. */
export interface ClipLayerWeights {
  readonly layerNorm1: LayerNormWeights;
  readonly selfAttention: {
    readonly qProj: LinearWeights;
    readonly kProj: LinearWeights;
    readonly vProj: LinearWeights;
    readonly outProj: LinearWeights;
  };
  readonly layerNorm2: LayerNormWeights;
  readonly mlp: { readonly fc1: LinearWeights; readonly fc2: LinearWeights };
}

/** Weights of a CLIP vision tower as far as Phi-3-vision uses it. C is hiddenSize. */
export interface ClipWeights {
  /** `[C]` */
  readonly classEmbedding: FloatTensor;
  /** `[C, 3, patchSize, patchSize]` */
  readonly patchEmbedding: FloatTensor;
  /** `[1 + patches, C]`, the class token first */
  readonly positionEmbedding: FloatTensor;
  /** `pre_layrnorm` in the checkpoint. */
  readonly preLayerNorm: LayerNormWeights;
  /** At least `numHiddenLayers - 1`; the checkpoint's last one may be left out, it is never run. */
  readonly layers: readonly ClipLayerWeights[];
}

/** Called with every intermediate tensor: `embeddings`, then `hiddenStates.0` (after preLayerNorm), `hiddenStates.1`, … */
export type ClipObserver = (name: string, tensor: FloatTensor) => void;

/**
 * Runs a CLIP vision tower over one crop up to the layer whose output Phi-3-vision uses: `hidden_states[-2]`, that is
 * without the last layer and without a final norm. The class token is dropped.
 *
 * Source: CLIP, arXiv:2103.00020, as in transformers' `CLIPVisionModel`; `image_embedding_phi3_v.py`
 * (`layer_idx = -2`, `type_feature = 'patch'`).
 * Shapes: C hiddenSize, T = 1 + patches.
 *
 * @param pixels - `[3, imageSize, imageSize]`, normalised ({@link normalizeClip})
 * @param weights - {@link ClipWeights}
 * @param config - for Phi-3-vision {@link clipVitLargePatch14At336}
 * @param options - `onTensor`: sees every intermediate
 * @returns `[patches, C]`, patches row by row
 * @throws ImageError `IM_PIXELS` when `pixels` has another shape or holds a value that is not finite
 * @throws ShapeError `SHAPE` when weights and config disagree
 * @throws ArgumentError `ARGUMENT` for a config that cannot be, or too few layers
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * // A tower of one layer, which is not run: only the embedding and its LayerNorm are left.
 * const tiny = { hiddenSize: 2, intermediateSize: 8, numHiddenLayers: 1, numAttentionHeads: 1, imageSize: 1, patchSize: 1, layerNormEps: 1e-9 };
 * const tinyWeights = {
 *   classEmbedding: { data: new Float32Array(2), shape: [2] },
 *   patchEmbedding: { data: Float32Array.of(1, 1, 1, 0, 0, 0), shape: [2, 3, 1, 1] },
 *   positionEmbedding: { data: new Float32Array(4), shape: [2, 2] },
 *   preLayerNorm: { weight: { data: Float32Array.of(1, 1), shape: [2] }, bias: { data: new Float32Array(2), shape: [2] } },
 *   layers: [],
 * };
 * clipEncode({ data: Float32Array.of(1, 2, 3), shape: [3, 1, 1] }, tinyWeights, tiny).data; // => [1, -1]
 */
export function clipEncode(
  pixels: FloatTensor,
  weights: ClipWeights,
  config: ClipConfig,
  options: { onTensor?: ClipObserver } = {},
): FloatTensor {
  expectKnownOptions('clipEncode', options, ['onTensor']);
  expectClipConfig('clipEncode', config);
  expectPixels(pixels, config);
  const numLayersUsed = config.numHiddenLayers - 1;
  if (weights.layers.length < numLayersUsed) {
    throw new ArgumentError({
      function: 'clipEncode',
      argument: 'weights.layers',
      expected: `at least ${numLayersUsed}`,
      got: weights.layers.length,
    });
  }

  const embeddings = embed(pixels, weights, config); //                                  [T, C]
  options.onTensor?.('embeddings', embeddings);
  let hidden = layerNorm(embeddings, weights.preLayerNorm, config.layerNormEps); //      [T, C]
  options.onTensor?.('hiddenStates.0', hidden);
  for (let index = 0; index < numLayersUsed; index++) {
    hidden = encoderLayer(hidden, weights.layers[index]!, config); //                    [T, C]
    options.onTensor?.(`hiddenStates.${index + 1}`, hidden);
  }
  const [numTokens, hiddenSize] = hidden.shape as readonly [number, number];
  return { data: hidden.data.subarray(hiddenSize), shape: [numTokens - 1, hiddenSize] };
}

function encoderLayer(x: FloatTensor, weights: ClipLayerWeights, config: ClipConfig): FloatTensor {
  const { qProj, kProj, vProj, outProj } = weights.selfAttention;
  const normed = layerNorm(x, weights.layerNorm1, config.layerNormEps); //               [T, C]
  const attended = fullAttention(linear(normed, qProj), linear(normed, kProj), linear(normed, vProj), {
    numHeads: config.numAttentionHeads,
    scale: 1 / Math.sqrt(config.hiddenSize / config.numAttentionHeads),
  }); //                                                                                 [T, C]
  const middle = add(x, linear(attended, outProj)); //                                   [T, C]

  const { fc1, fc2 } = weights.mlp;
  const activated = quickGelu(linear(layerNorm(middle, weights.layerNorm2, config.layerNormEps), fc1));
  return add(middle, linear(activated, fc2)); //                                         [T, C]
}

/** The class token and the patches, each plus the embedding of its position. */
function embed(pixels: FloatTensor, weights: ClipWeights, config: ClipConfig): FloatTensor {
  const { hiddenSize, patchSize, imageSize } = config;
  const numPatches = (imageSize / patchSize) ** 2;
  const where = (argument: string) => ({ function: 'clipEncode', argument: `weights.${argument}` });
  expectShape(weights.classEmbedding, [hiddenSize], where('classEmbedding'));
  expectShape(weights.patchEmbedding, [hiddenSize, 3, patchSize, patchSize], where('patchEmbedding'));
  expectShape(weights.positionEmbedding, [numPatches + 1, hiddenSize], where('positionEmbedding'));
  const kernel = { data: weights.patchEmbedding.data, shape: [hiddenSize, 3 * patchSize * patchSize] };
  const data = new Float32Array((numPatches + 1) * hiddenSize);
  data.set(weights.classEmbedding.data);
  data.set(patchEmbedding(pixels, kernel, patchSize).data, hiddenSize);
  return add({ data, shape: [numPatches + 1, hiddenSize] }, weights.positionEmbedding);
}

function add(a: FloatTensor, b: FloatTensor): FloatTensor {
  const data = new Float32Array(a.data.length);
  for (let i = 0; i < data.length; i++) data[i] = a.data[i]! + b.data[i]!;
  return { data, shape: a.shape };
}

function expectPixels(pixels: FloatTensor, { imageSize }: ClipConfig): void {
  const shape = [3, imageSize, imageSize];
  if (
    pixels.shape.length !== 3 ||
    shape.some((size, axis) => size !== pixels.shape[axis]) ||
    pixels.data.length !== 3 * imageSize * imageSize
  ) {
    throw new ImageError({
      code: 'IM_PIXELS',
      function: 'clipEncode',
      argument: 'pixels',
      expected: `shape [${shape.join(', ')}]`,
      got: pixels.shape,
    });
  }
  const bad = pixels.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new ImageError({
      code: 'IM_PIXELS',
      function: 'clipEncode',
      argument: `pixels.data[${bad}]`,
      expected: 'a finite number',
      got: pixels.data[bad],
    });
  }
}
