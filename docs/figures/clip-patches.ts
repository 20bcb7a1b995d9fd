import { arrangeFeatures, type ClipConfig, clipVitLargePatch14At336, imageTokenCount } from '@phiblocks/vision';

/** What one token of a picture is made of. */
export type ImageToken =
  /** The end of a row of features: the learned vector `sub_GN`. */
  | { readonly kind: 'newline'; readonly part: 'crops' | 'global' }
  /** Between the crops and the global view: the learned vector `glb_GN`. */
  | { readonly kind: 'separator' }
  /** Four neighbouring patches of one crop; crop 0 is the global view. Row and column count in patches of the crop. */
  | {
      readonly kind: 'patches';
      readonly crop: number;
      readonly patches: readonly { readonly row: number; readonly column: number }[];
    };

const newline = -1;
const separator = -2;

/**
 * The tokens of a picture in order. The package is asked: it arranges features of which each is the number of its patch, so
 * what comes out says what went where.
 */
export function imageTokens(
  numRows: number,
  numColumns: number,
  config: ClipConfig = clipVitLargePatch14At336,
): ImageToken[] {
  const side = config.imageSize / config.patchSize;
  const numPatches = side * side;
  const numCrops = 1 + numRows * numColumns;
  const features = {
    data: Float32Array.from({ length: numCrops * numPatches }, (_, i) => i),
    shape: [numCrops, numPatches, 1],
  };
  const filled = (value: number) => ({ data: new Float32Array(4).fill(value), shape: [4] });
  const { data, shape } = arrangeFeatures(features, numRows, numColumns, filled(newline), filled(separator));
  let part: 'crops' | 'global' = 'crops';
  return Array.from({ length: shape[0]! }, (_, token) => {
    const numbers = Array.from(data.subarray(4 * token, 4 * token + 4));
    if (numbers[0] === newline) return { kind: 'newline', part };
    if (numbers[0] === separator) {
      part = 'global';
      return { kind: 'separator' };
    }
    const patches = numbers.map((number) => {
      const patch = number % numPatches;
      return { row: Math.floor(patch / side), column: patch % side };
    });
    return { kind: 'patches', crop: Math.floor(numbers[0]! / numPatches), patches };
  });
}

/** A tensor on the way of a picture into the language model. */
export interface StageShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * The shapes on the way, for one picture.
 *
 * @param hiddenSize - of the language model
 */
export function stageShapes(
  numRows: number,
  numColumns: number,
  hiddenSize: number,
  config: ClipConfig = clipVitLargePatch14At336,
): StageShape[] {
  const { imageSize, patchSize, hiddenSize: width } = config;
  const side = imageSize / patchSize;
  const crops = 1 + numRows * numColumns;
  const tokens = imageTokenCount(numRows * imageSize, numColumns * imageSize);
  return [
    { name: 'pixels of the crops', shape: [crops, 3, imageSize, imageSize] },
    { name: 'patches', shape: [crops, side * side, 3 * patchSize * patchSize] },
    { name: 'with class token, through CLIP', shape: [crops, side * side + 1, width] },
    { name: 'features, class token dropped', shape: [crops, side * side, width] },
    { name: 'merged 2 × 2, with separators', shape: [tokens, 4 * width] },
    { name: 'projected', shape: [tokens, hiddenSize] },
  ];
}
