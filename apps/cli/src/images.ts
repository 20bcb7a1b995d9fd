import type { LanguageModel } from '@phiblocks/runtime';
import { readImageFile } from '@phiblocks/runtime/node';
import { locateImages, type RgbImage } from '@phiblocks/vision';
import { Option } from 'commander';
import { type ImagePlace, promptIds, repeated } from './usage-error.ts';

export interface ImageFlags {
  readonly image?: string[];
}

export function imageOption(): Option {
  return new Option(
    '--image <file>',
    'a PNG or JPEG for a vision model; may be given again: <|image_1|>, <|image_2|>, … in the prompt',
  ).argParser(repeated);
}

export function idsOption(): Option {
  return new Option('--ids <ids>', 'token ids, taken as they are: 1,2,3, with images as image:1').argParser(promptIds);
}

/** Reads the files in the order in which they were given. */
export async function readImages({ image = [] }: ImageFlags): Promise<RgbImage[]> {
  const images: RgbImage[] = [];
  for (const file of image) images.push(await readImageFile(file));
  return images;
}

/**
 * Ids with as many places as each image has tokens.
 *
 * @throws ImageError `IM_COUNT`, `IM_PLACEHOLDER` when places and images do not belong together
 */
export function expandImages(
  model: LanguageModel,
  ids: readonly (number | ImagePlace)[],
  images: readonly RgbImage[],
): number[] {
  const counts = images.map((image) => model.numImageTokens(image));
  const expanded: number[] = [];
  for (const id of ids) {
    if (typeof id === 'number') expanded.push(id);
    // A place without an image becomes one id, so that the check below finds it.
    else expanded.push(...new Array<number>(counts[id.image - 1] ?? 1).fill(-id.image));
  }
  locateImages(expanded, counts);
  return expanded;
}
