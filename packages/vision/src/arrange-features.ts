import { expectShape, type FloatTensor } from '@phiblocks/tensor';
import { mergeFeatures2x2 } from './merge-features-2x2.ts';

/**
 * Lines up the features of an image as the projector reads them: the picture made of all crops row by row, a newline
 * vector (`sub_GN`) after each row; one separator (`glb_GN`); the global view likewise, with the same newline vector.
 *
 * Source: `image_embedding_phi3_v.py` (`hd_transform_order` `sub_glb`). The separators go through the projector too.
 *
 * @param features - `[1 + numRows · numColumns, P², C]`: the global view, then the crops row by row, without zero crops
 * @param numRows - of crops: height / 336
 * @param numColumns - of crops: width / 336
 * @param subGn - newline vector, `[4 · C]`; the checkpoint's `[1, 1, 1, 4·C]` is the same numbers
 * @param glbGn - separator, `[4 · C]`; the checkpoint's `[1, 1, 4·C]` is the same numbers
 * @returns `[tokens, 4 · C]`; with P = 24 tokens is {@link imageTokenCount}
 * @throws ShapeError `SHAPE`
 * @throws ArgumentError `ARGUMENT` when a number of crops is not a whole number from 1 up
 * @example
 * const features = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [2, 4, 1] };
 * const subGn = { data: Float32Array.of(10, 10, 10, 10), shape: [4] };
 * const glbGn = { data: Float32Array.of(20, 20, 20, 20), shape: [4] };
 * arrangeFeatures(features, 1, 1, subGn, glbGn).data; // => [5, 6, 7, 8, 10, 10, 10, 10, 20, 20, 20, 20, 1, 2, 3, 4, 10, 10, 10, 10]
 */
export function arrangeFeatures(
  features: FloatTensor,
  numRows: number,
  numColumns: number,
  subGn: FloatTensor,
  glbGn: FloatTensor,
): FloatTensor {
  expectShape(features, [1 + numRows * numColumns, null, null], { function: 'arrangeFeatures', argument: 'features' });
  const [numCrops, numPatches, channels] = features.shape as readonly [number, number, number];
  expectShape({ ...subGn, shape: subGn.shape.slice(-1) }, [4 * channels], {
    function: 'arrangeFeatures',
    argument: 'subGn',
  });
  expectShape({ ...glbGn, shape: glbGn.shape.slice(-1) }, [4 * channels], {
    function: 'arrangeFeatures',
    argument: 'glbGn',
  });
  const cropLength = numPatches * channels;
  const globalView = mergeFeatures2x2(
    { data: features.data.subarray(0, cropLength), shape: [1, numPatches, channels] },
    1,
    1,
  ); //                                                                                 [P/2, P/2, 4·C]
  const picture = mergeFeatures2x2(
    { data: features.data.subarray(cropLength), shape: [numCrops - 1, numPatches, channels] },
    numRows,
    numColumns,
  ); //                                                              [numRows·P/2, numColumns·P/2, 4·C]

  const numTokens = lengthWithNewlines(picture) + 1 + lengthWithNewlines(globalView);
  const data = new Float32Array(numTokens * 4 * channels);
  let to = writeWithNewlines(data, 0, picture, subGn);
  data.set(glbGn.data, to);
  to += 4 * channels;
  writeWithNewlines(data, to, globalView, subGn);
  return { data, shape: [numTokens, 4 * channels] };
}

function lengthWithNewlines({ shape }: FloatTensor): number {
  return shape[0]! * (shape[1]! + 1);
}

function writeWithNewlines(to: Float32Array, start: number, picture: FloatTensor, newline: FloatTensor): number {
  const [height, width, size] = picture.shape as readonly [number, number, number];
  const rowLength = width * size;
  let offset = start;
  for (let row = 0; row < height; row++) {
    to.set(picture.data.subarray(row * rowLength, (row + 1) * rowLength), offset);
    to.set(newline.data, offset + rowLength);
    offset += rowLength + size;
  }
  return offset;
}
