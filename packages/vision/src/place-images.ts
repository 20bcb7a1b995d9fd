import { ArgumentError } from '@phiblocks/tensor';
import { ImageError } from './image-error.ts';

/**
 * Joins the ids of the text pieces around images: image k becomes a run of the id `-k`, one per image token.
 *
 * Source: `processing_phi3_v.py` (`_convert_images_texts_to_inputs`).
 *
 * @param pieces - ids of the text before, between and after the images, each tokenized on its own with its own
 * begin-of-text id ({@link splitAtImages})
 * @param imageTokenCounts - tokens of each image ({@link imageTokenCount})
 * @returns ids of the whole prompt
 * @throws ImageError `IM_COUNT` unless there is one piece more than images
 * @throws ArgumentError `ARGUMENT` when a count is not a whole number from 1 up, or an id of the text is negative or none
 * @example
 * placeImages([[1, 50], [1, 60, 61]], [3]); // => Int32Array.of(1, 50, -1, -1, -1, 1, 60, 61)
 */
export function placeImages(
  pieces: readonly ArrayLike<number>[],
  imageTokenCounts: readonly number[],
): Int32Array<ArrayBuffer> {
  if (pieces.length !== imageTokenCounts.length + 1) {
    throw new ImageError({
      code: 'IM_COUNT',
      function: 'placeImages',
      argument: 'pieces',
      expected: `one piece of text more than images (${imageTokenCounts.length})`,
      got: pieces.length,
    });
  }
  expectTokenCounts('placeImages', imageTokenCounts);
  for (const [index, piece] of pieces.entries()) {
    for (let i = 0; i < piece.length; i++) {
      // A negative id in the text would stand for an image.
      if (!Number.isInteger(piece[i]) || piece[i]! < 0 || piece[i]! > 0x7fffffff) {
        throw new ArgumentError({
          function: 'placeImages',
          argument: `pieces[${index}][${i}]`,
          expected: 'a token id from 0 up',
          got: piece[i],
        });
      }
    }
  }
  let length = 0;
  for (const piece of pieces) length += piece.length;
  for (const count of imageTokenCounts) length += count;
  const ids = new Int32Array(length);
  ids.set(pieces[0]!);
  let to = pieces[0]!.length;
  for (const [index, count] of imageTokenCounts.entries()) {
    ids.fill(-(index + 1), to, to + count);
    ids.set(pieces[index + 1]!, to + count);
    to += count + pieces[index + 1]!.length;
  }
  return ids;
}

/** Checks that every image has a whole number of tokens, at least one. */
export function expectTokenCounts(functionName: string, imageTokenCounts: readonly number[]): void {
  const bad = imageTokenCounts.findIndex((count) => !Number.isSafeInteger(count) || count < 1);
  if (bad >= 0) {
    throw new ArgumentError({
      function: functionName,
      argument: `imageTokenCounts[${bad}]`,
      expected: 'a whole number from 1 up',
      got: imageTokenCounts[bad],
    });
  }
}
