import { ImageError } from './image-error.ts';
import { expectTokenCounts } from './place-images.ts';

/**
 * Finds where the images stand in the ids of a prompt, and checks that ids and images belong together: image 1 first, as
 * one unbroken run of `-1` as long as the image has tokens, then image 2, and so on.
 *
 * The published model writes all features in the order of the text and trusts the ids, so a mistake there shifts every
 * feature behind it without a word.
 *
 * Source: `image_embedding_phi3_v.py` (negative ids mark image positions).
 *
 * @param ids - of the whole prompt; negative ones stand for images
 * @param imageTokenCounts - tokens of each image, in order ({@link imageTokenCount})
 * @returns position of the first id of every image
 * @throws ImageError `IM_COUNT` when the ids name more or fewer images than given; `IM_PLACEHOLDER` for a gap, a repeat or
 * images out of order; `IM_TOKENS` when a run is too long or too short
 * @throws ArgumentError `ARGUMENT` when a count is not a whole number from 1 up
 * @example
 * locateImages([1, 50, -1, -1, 1, -2, 60], [2, 1]); // => [2, 5]
 */
export function locateImages(ids: ArrayLike<number>, imageTokenCounts: readonly number[]): number[] {
  expectTokenCounts('locateImages', imageTokenCounts);
  const runs: { id: number; start: number; length: number }[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (!(ids[i]! < 0)) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.id === ids[i] && last.start + last.length === i) last.length++;
    else runs.push({ id: ids[i]!, start: i, length: 1 });
  }
  const wrong = runs.findIndex(({ id }, index) => id !== -(index + 1));
  if (wrong >= 0) {
    throw new ImageError({
      code: 'IM_PLACEHOLDER',
      function: 'locateImages',
      argument: 'ids',
      expected: `image ${wrong + 1} as run ${wrong + 1} of negative ids: -1, -2, … without gap or repeat`,
      got: runs[wrong]!.id,
    });
  }
  if (runs.length !== imageTokenCounts.length) {
    throw new ImageError({
      code: 'IM_COUNT',
      function: 'locateImages',
      argument: 'ids',
      expected: `as many runs of negative ids as images (${imageTokenCounts.length})`,
      got: runs.length,
    });
  }
  for (const [index, { length }] of runs.entries()) {
    if (length !== imageTokenCounts[index]) {
      throw new ImageError({
        code: 'IM_TOKENS',
        function: 'locateImages',
        argument: 'ids',
        expected: `a run of ${imageTokenCounts[index]} for image ${index + 1}`,
        got: length,
      });
    }
  }
  return runs.map(({ start }) => start);
}
