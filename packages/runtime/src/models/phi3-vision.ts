import type { Backend, CacheHandle, FloatTensor, TensorHandle, WeightHandle } from '@phiblocks/tensor';
import { arrangeFeatures, type PreprocessedImage } from '@phiblocks/vision';
import type { ClipVisionConfig } from '@phiblocks/weights';
import type { Biased } from './biased.ts';
import type { EncodeImageOptions } from './causal-language-model.ts';
import { createObserver, type ForwardOptions, type ImageRows } from './forward-options.ts';
import { forwardPhi3, type Phi3 } from './phi3.ts';

// Phi-3-vision and Phi-3.5-vision: Phi3ForCausalLM with rows of images among the embeddings of the text.
// Source: `modeling_phi3_v.py` and `image_embedding_phi3_v.py`, published with the checkpoint; CLIP, arXiv:2103.00020.
// Shape letters: T tokens, C hiddenSize of the language model, W width of the tower, M its intermediateSize, P patches of a crop.

export interface ClipLayer {
  readonly layerNorm1: Biased<TensorHandle>; // [W]
  readonly qProj: Biased<WeightHandle>; // [W, W]
  readonly kProj: Biased<WeightHandle>; // [W, W]
  readonly vProj: Biased<WeightHandle>; // [W, W]
  readonly outProj: Biased<WeightHandle>; // [W, W]
  readonly layerNorm2: Biased<TensorHandle>; // [W]
  readonly fc1: Biased<WeightHandle>; // [M, W]
  readonly fc2: Biased<WeightHandle>; // [W, M]
}

export interface ImageWeights {
  readonly classEmbedding: FloatTensor; // [W]
  readonly patchEmbedding: WeightHandle; // [W, 3 · patchSize²]
  readonly positionEmbedding: TensorHandle; // [1 + P, W], the class token first
  readonly preLayerNorm: Biased<TensorHandle>; // [W]
  readonly layers: readonly ClipLayer[]; // all but the last of the tower, whose output is not used
  readonly subGn: FloatTensor; // [4W] numbers: ends a row of features
  readonly glbGn: FloatTensor; // [4W] numbers: stands between the picture and its global view
  readonly projection1: Biased<WeightHandle>; // [C, 4W]
  readonly projection2: Biased<WeightHandle>; // [C, C]
}

export interface Phi3Vision {
  readonly language: Phi3;
  readonly clipConfig: ClipVisionConfig;
  readonly imageWeights: ImageWeights;
  readonly backend: Backend;
}

/**
 * One forward pass: that of Phi3ForCausalLM, with the rows of images in the place of embeddings.
 *
 * @param model - the language model, and the image encoder with its projector on the same backend
 * @param ids - `[T]`, token ids below V, and negative ones where an image stands
 * @param cache - one of `model.backend` with the layers of the model
 * @param options - the rows of images, which rows of logits to compute, the list of LongRoPE factors, and what to
 * observe
 * @returns logits `[rows, V]` for the rows asked for
 */
export async function forwardPhi3Vision(
  model: Phi3Vision,
  ids: Int32Array,
  cache: CacheHandle,
  { images = [], ...options }: ForwardOptions,
): Promise<FloatTensor> {
  const embeddings = images.length > 0 ? await embedWithImages(model, ids, images) : undefined; // [T, C]
  return forwardPhi3(model.language, ids, cache, options, embeddings);
}

/** Ids of images are negative and looked up as 0, as published; what was looked up is overwritten. */
async function embedWithImages(
  { language, backend }: Phi3Vision,
  ids: Int32Array,
  images: readonly ImageRows[],
): Promise<FloatTensor> {
  const ops = backend.beginStep();
  try {
    const textIds = ids.map((id) => Math.max(id, 0));
    const embeddings = await backend.read(ops.embed(language.weights.embedTokens, textIds)); //   [T, C]
    const hiddenSize = embeddings.shape[1]!;
    for (const { row, count, features, firstFeature } of images) {
      const rows = features.data.subarray(firstFeature * hiddenSize, (firstFeature + count) * hiddenSize);
      embeddings.data.set(rows, row * hiddenSize);
    }
    return embeddings;
  } finally {
    ops.end();
  }
}

/**
 * From a preprocessed image to its rows in the prompt: the tower over the global view and every crop, 2 × 2 merging with
 * separators, the projector.
 *
 * @param model - the language model, and the image encoder with its projector on the same backend
 * @param image - as `preprocessImage` of `@phiblocks/vision` makes it
 * @param options - what to do between layers, and what to observe
 * @returns `[numImageTokens, C]`
 */
export async function encodeImage(
  model: Phi3Vision,
  { pixelValues, imageSize }: PreprocessedImage,
  { betweenLayers, onTensor }: EncodeImageOptions = {},
): Promise<FloatTensor> {
  const { clipConfig, imageWeights: weights, backend } = model;
  const { imageSize: side, patchSize, hiddenSize: width } = clipConfig;
  const [numRows, numColumns] = [imageSize.height / side, imageSize.width / side];
  const numCrops = 1 + numRows * numColumns; // the zero crops behind them stand for nothing
  const numPatches = (side / patchSize) ** 2;
  const cropLength = 3 * side * side;
  const features = { data: new Float32Array(numCrops * numPatches * width), shape: [numCrops, numPatches, width] };
  for (let crop = 0; crop < numCrops; crop++) {
    const data = pixelValues.data.subarray(crop * cropLength, (crop + 1) * cropLength);
    const encoded = await encodeCrop(
      model,
      { data, shape: [3, side, side] },
      {
        betweenLayers,
        onTensor: onTensor && ((name, tensor) => onTensor(`crops.${crop}.${name}`, tensor)),
      },
    ); //                                                                                        [P, W]
    features.data.set(encoded.data, crop * numPatches * width);
  }

  const { observe, settled } = createObserver(onTensor);
  const ops = backend.beginStep();
  try {
    const arranged = arrangeFeatures(features, numRows, numColumns, weights.subGn, weights.glbGn);
    const input = observe('projectorInput', ops.upload(arranged)); //                             [tokens, 4W]
    const { projection1, projection2 } = weights;
    const inner = ops.activation(ops.linear(input, projection1.weight, projection1.bias), 'gelu'); // [tokens, C]
    const projected = observe('imageEmbeddings', ops.linear(inner, projection2.weight, projection2.bias));
    const result = await backend.read(projected); //                                              [tokens, C]
    await settled();
    return result;
  } finally {
    ops.end();
  }
}

/** The tower over one crop, up to the layer before its last: the patches `[P, W]`, without the class token. */
async function encodeCrop(
  { clipConfig, imageWeights: weights, backend }: Phi3Vision,
  pixels: FloatTensor,
  { betweenLayers, onTensor }: EncodeImageOptions,
): Promise<FloatTensor> {
  const { hiddenSize: width, numAttentionHeads: numHeads, layerNormEps: epsilon } = clipConfig;
  const { observe, settled } = createObserver(onTensor);
  const ops = backend.beginStep();
  try {
    const patches = ops.patchEmbedding(ops.upload(pixels), weights.patchEmbedding, clipConfig.patchSize); // [P, W]
    const tokens = withRowBefore(weights.classEmbedding, await backend.read(patches)); //         [1 + P, W]
    const placed = observe('embeddings', ops.add(ops.upload(tokens), weights.positionEmbedding));
    let hidden = ops.layerNorm(placed, weights.preLayerNorm.weight, weights.preLayerNorm.bias, epsilon);
    observe('hidden.0', hidden); //                                                               [1 + P, W]
    for (const [index, layer] of weights.layers.entries()) {
      await betweenLayers?.();
      const { layerNorm1, layerNorm2, qProj, kProj, vProj, outProj, fc1, fc2 } = layer;
      const normed = ops.layerNorm(hidden, layerNorm1.weight, layerNorm1.bias, epsilon); //       [1 + P, W]
      const queries = ops.linear(normed, qProj.weight, qProj.bias); //                            [1 + P, W]
      const keys = ops.linear(normed, kProj.weight, kProj.bias); //                               [1 + P, W]
      const values = ops.linear(normed, vProj.weight, vProj.bias); //                             [1 + P, W]
      const scale = 1 / Math.sqrt(width / numHeads);
      const attended = ops.fullAttention(queries, keys, values, { numHeads, scale }); //          [1 + P, W]
      hidden = ops.add(hidden, ops.linear(attended, outProj.weight, outProj.bias));

      const normedAgain = ops.layerNorm(hidden, layerNorm2.weight, layerNorm2.bias, epsilon); //  [1 + P, W]
      const inner = ops.activation(ops.linear(normedAgain, fc1.weight, fc1.bias), 'quickGelu'); // [1 + P, M]
      hidden = observe(`hidden.${index + 1}`, ops.add(hidden, ops.linear(inner, fc2.weight, fc2.bias)));
      await settled();
      ops.keepOnly([hidden]);
    }
    const result = await backend.read(ops.rows(hidden, 1, patches.shape[0]!)); //                 [P, W]
    await settled();
    return result;
  } finally {
    ops.end();
  }
}

function withRowBefore(row: FloatTensor, { data, shape }: FloatTensor): FloatTensor {
  const joined = new Float32Array(row.data.length + data.length);
  joined.set(row.data);
  joined.set(data, row.data.length);
  return { data: joined, shape: [shape[0]! + 1, shape[1]!] };
}
