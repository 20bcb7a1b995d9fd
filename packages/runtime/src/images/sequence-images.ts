import { ArgumentError, type FloatTensor, Phi3Error } from '@phiblocks/tensor';
import { ImageError, type RgbImage } from '@phiblocks/vision';
import type { CausalLanguageModel } from '../models/causal-language-model.ts';
import type { ForwardOptions, ImageRows } from '../models/forward-options.ts';

/** An image of a sequence with its rows, once they are computed. */
interface HeldImage {
  readonly image: RgbImage;
  readonly numTokens: number;
  features: FloatTensor | undefined;
}

/** The images of one sequence: image N stands where the ids are -N. */
export interface SequenceImages {
  /**
   * Takes the images of the whole sequence, in order. Rows of an image that was here before are kept.
   *
   * @param ids - the tokens that are in the cache
   */
  take(images: readonly RgbImage[], ids: readonly number[]): void;
  /** Checks that tokens continue the sequence: each image in one run as long as it has tokens, the images in order. */
  expectPlaced(before: readonly number[], added: ArrayLike<number>): void;
  /** Whether image N (from 1) is this one. */
  isSame(number: number, image: RgbImage | undefined): boolean;
  /** Computes the rows of every image among the tokens that has none yet. */
  encode(ids: ArrayLike<number>, betweenLayers: NonNullable<ForwardOptions['betweenLayers']>): Promise<void>;
  /** The rows for the images among `chunk`, which follows `before`. */
  rowsOf(before: readonly number[], chunk: ArrayLike<number>): ImageRows[];
}

/** An empty list of images for a sequence on a model. */
export function createSequenceImages(model: CausalLanguageModel): SequenceImages {
  let held: HeldImage[] = [];

  function expectPlaced(before: readonly number[], added: ArrayLike<number>): void {
    let { number, rows } = lastImage(before);
    for (let i = 0; i <= added.length; i++) {
      const id = i < added.length ? added[i]! : undefined;
      const isInside = rows > 0 && rows < held[number - 1]!.numTokens;
      const goesOn = rows > 0 && id === -number && id === (i > 0 ? added[i - 1] : before.at(-1));
      if (isInside && goesOn) {
        rows++;
        continue;
      }
      if (id === undefined) return; // a sequence may pause inside an image
      if (isInside || goesOn) {
        throw misplaced('IM_TOKENS', i, `a run of ${held[number - 1]!.numTokens} for image ${number}`, id);
      }
      if (id >= 0) continue;
      if (id !== -(number + 1)) throw misplaced('IM_PLACEHOLDER', i, `-${number + 1}, the next image`, id);
      if (-id > held.length)
        throw misplaced('IM_COUNT', i, `at most ${held.length} images, as many as were given`, -id);
      number = -id;
      rows = 1;
    }
  }

  return {
    take(images, ids) {
      const { number } = lastImage(ids);
      for (let placed = 1; placed <= number; placed++) {
        if (isSameImage(held[placed - 1]!.image, images[placed - 1])) continue;
        throw new ArgumentError({
          function: 'advance',
          argument: `options.images[${placed - 1}]`,
          expected: 'the image that the sequence already holds',
          got: 'another',
        });
      }
      const encoder = model.images;
      if (images.length > 0 && !encoder) throw imagesUnsupported('advance');
      held = images.map((image) => {
        const known = held.find((one) => isSameImage(one.image, image));
        return known ?? { image, numTokens: encoder!.numImageTokens(image), features: undefined };
      });
    },
    expectPlaced,
    isSame: (number, image) => isSameImage(held[number - 1]?.image, image),
    async encode(ids, betweenLayers) {
      const numbers = new Set<number>();
      for (let i = 0; i < ids.length; i++) if (ids[i]! < 0) numbers.add(-ids[i]!);
      for (const number of numbers) {
        const one = held[number - 1]!;
        one.features ??= await model.images!.encode(one.image, { betweenLayers });
      }
    },
    rowsOf(before, chunk) {
      const rows: ImageRows[] = [];
      for (let start = 0, end = 0; start < chunk.length; start = end) {
        const id = chunk[start]!;
        for (end = start + 1; end < chunk.length && chunk[end] === id; ) end++;
        if (id >= 0) continue;
        const last = lastImage(before);
        const firstFeature = start === 0 && last.number === -id ? last.rows : 0;
        rows.push({ row: start, count: end - start, features: held[-id - 1]!.features!, firstFeature });
      }
      return rows;
    },
  };
}

/** The model has no image side, or does not know into how many crops a picture is cut. */
export function imagesUnsupported(functionName: string): Phi3Error {
  return new Phi3Error({
    code: 'IMAGES_UNSUPPORTED',
    function: functionName,
    argument: 'images',
    expected: 'no images for a model that sees none',
    hint: 'Images need a phi3_v checkpoint with its preprocessor_config.json, or the option numCrops.',
  });
}

/** The number of the last image among the ids, 0 for none, and how many of its rows are there. */
function lastImage(ids: readonly number[]): { number: number; rows: number } {
  let end = ids.length;
  while (end > 0 && ids[end - 1]! >= 0) end--;
  if (end === 0) return { number: 0, rows: 0 };
  const id = ids[end - 1]!;
  let start = end;
  while (start > 0 && ids[start - 1] === id) start--;
  return { number: -id, rows: end - start };
}

function isSameImage(a: RgbImage | undefined, b: RgbImage | undefined): boolean {
  if (!a || !b || a.width !== b.width || a.height !== b.height) return false;
  return a.data === b.data || a.data.every((byte, i) => byte === b.data[i]);
}

function misplaced(
  code: 'IM_COUNT' | 'IM_PLACEHOLDER' | 'IM_TOKENS',
  index: number,
  expected: string,
  got: unknown,
): ImageError {
  return new ImageError({ code, function: 'advance', argument: `ids[${index}]`, expected, got });
}
