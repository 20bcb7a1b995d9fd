import type { Phi3VisionConfig } from '@phiblocks/weights';
import type { Arithmetic } from './arithmetic.ts';
import { add, type Defined, gelu, layerNorm, linear, moved } from './define.ts';
import { DefinedBlocks, type DefinedTensors, tower, visionPrefix } from './layers.ts';

// The ends of the image side: patches to tokens, and features to rows of the prompt.
// Sources: CLIP, arXiv:2103.00020; `image_embedding_phi3_v.py`, published with the checkpoint.
// Shape letters: W width of the tower, P patches of a crop, C hiddenSize of the language model.

/** Patches, class token and positions, first norm: `[1 + P, W]` of one crop `[3, side, side]`. */
export async function defineClipEmbedding(
  config: Phi3VisionConfig,
  tensors: DefinedTensors,
  pixels: Float32Array,
  arithmetic: Arithmetic,
): Promise<DefinedBlocks> {
  const out = new DefinedBlocks();
  const { hiddenSize: W, imageSize: side, patchSize, layerNormEps } = config.imgProcessor.clipConfig;
  const across = side / patchSize;
  const size = 3 * patchSize * patchSize;
  const unfolded = new Float32Array(across * across * size);
  for (let at = 0; at < unfolded.length; at++) {
    const patch = Math.floor(at / size);
    const channel = Math.floor((at % size) / patchSize ** 2);
    const y = Math.floor(patch / across) * patchSize + Math.floor((at % patchSize ** 2) / patchSize);
    const x = (patch % across) * patchSize + (at % patchSize);
    unfolded[at] = pixels[(channel * side + y) * side + x]!;
  }
  const kernel = await tensors.matrix(`${tower}.embeddings.patch_embedding.weight`);
  const patches = out.set('patchEmbedding', 'linear', linear(unfolded, kernel, undefined, arithmetic));
  const tokens = new Float32Array(W + patches.length);
  tokens.set(await tensors.vector(`${tower}.embeddings.class_embedding`));
  tokens.set(patches, W);
  const positions = await tensors.vector(`${tower}.embeddings.position_embedding.weight`);
  const placed = out.set('embeddings', 'add', add(tokens, positions, W));
  const weight = await tensors.vector(`${tower}.pre_layrnorm.weight`);
  const bias = await tensors.vector(`${tower}.pre_layrnorm.bias`);
  out.set('preLayerNorm', 'norm', layerNorm(placed, weight, bias, layerNormEps, arithmetic));
  return out;
}

/**
 * Features to rows: 2 × 2 patches side by side, crops in their places, `sub_GN` at the end of each row, the picture, `glb_GN`,
 * the global view; then the projector.
 *
 * @param features - `[1 + rows · columns, P, W]`, the global view first
 */
export async function defineProjector(
  config: Phi3VisionConfig,
  tensors: DefinedTensors,
  features: Float32Array,
  numRows: number,
  numColumns: number,
  arithmetic: Arithmetic,
): Promise<DefinedBlocks> {
  const out = new DefinedBlocks();
  const { hiddenSize: W, imageSize, patchSize } = config.imgProcessor.clipConfig;
  const across = imageSize / patchSize;
  const half = across / 2;
  const lineEnd = await tensors.vector(`${visionPrefix}.sub_GN`);
  const between = await tensors.vector(`${visionPrefix}.glb_GN`);
  const rows: number[][] = [];
  /** One row of 4W: the patches (dy, dx) of a 2 × 2 square. */
  const square = (crop: number, y: number, x: number): number[] =>
    [0, 1, 2, 3].flatMap((corner) => {
      const patch = (2 * y + (corner >> 1)) * across + 2 * x + (corner & 1);
      const at = (crop * across * across + patch) * W;
      return Array.from(features.subarray(at, at + W));
    });
  const grid = (height: number, width: number, cropAt: (y: number, x: number) => number): void => {
    for (let y = 0; y < height * half; y++) {
      for (let x = 0; x < width * half; x++) {
        rows.push(square(cropAt(Math.floor(y / half), Math.floor(x / half)), y % half, x % half));
      }
      rows.push(Array.from(lineEnd));
    }
  };
  grid(numRows, numColumns, (y, x) => 1 + y * numColumns + x);
  rows.push(Array.from(between));
  grid(1, 1, () => 0);
  const arranged = Float32Array.from(rows.flat());
  const input = out.set('projectorInput', 'exact', moved(arranged, 4 * W));
  const project = async (x: Float32Array, name: string): Promise<Defined> =>
    linear(
      x,
      await tensors.matrix(`${visionPrefix}.img_projection.${name}.weight`),
      await tensors.vector(`${visionPrefix}.img_projection.${name}.bias`),
      arithmetic,
    );
  const inner = out.set('imgProjection0', 'linear', await project(input, '0'));
  const active = out.set('gelu', 'gated', gelu(inner, config.hiddenSize, arithmetic));
  out.set('imageEmbeddings', 'linear', await project(active, '2'));
  return out;
}
