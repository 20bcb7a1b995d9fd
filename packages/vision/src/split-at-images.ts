import { ArgumentError } from '@phiblocks/tensor';
import { ImageError } from './image-error.ts';

/**
 * Cuts a prompt at its image placeholders `<|image_1|>`, `<|image_2|>`, …. Each piece is then tokenized **on its own, with
 * its own begin-of-text token**, as the published processor does, and {@link placeImages} joins the ids.
 *
 * The placeholders must be numbered 1, 2, …, n in the order of the text. The published processor also takes them out of
 * order or repeated, but its model then pairs them with the wrong images; here that is an error.
 *
 * Source: `processing_phi3_v.py` (`_convert_images_texts_to_inputs`).
 *
 * @param text - the prompt after the chat template
 * @param numImages - how many images were given
 * @returns `numImages + 1` pieces, possibly empty
 * @throws ImageError `IM_COUNT` when the text has more or fewer placeholders than images; `IM_PLACEHOLDER` when their
 * numbers have a gap or a repeat, or do not ascend
 * @throws ArgumentError `ARGUMENT` when `numImages` is not a whole number from 0 up
 * @example
 * splitAtImages('<|user|>\n<|image_1|>\nWhat is this?<|end|>\n', 1); // => ['<|user|>\n', '\nWhat is this?<|end|>\n']
 */
export function splitAtImages(text: string, numImages: number): string[] {
  if (!Number.isSafeInteger(numImages) || numImages < 0) {
    throw new ArgumentError({
      function: 'splitAtImages',
      argument: 'numImages',
      expected: 'a whole number from 0 up',
      got: numImages,
    });
  }
  const pieces: string[] = [];
  const numbers: number[] = [];
  let end = 0;
  for (const match of text.matchAll(/<\|image_([0-9]+)\|>/g)) {
    pieces.push(text.slice(end, match.index));
    numbers.push(Number(match[1]));
    end = match.index + match[0].length;
  }
  pieces.push(text.slice(end));
  const wrong = numbers.findIndex((number, index) => number !== index + 1);
  if (wrong >= 0) {
    throw new ImageError({
      code: 'IM_PLACEHOLDER',
      function: 'splitAtImages',
      argument: 'text',
      expected: `<|image_${wrong + 1}|> as placeholder ${wrong + 1}: numbers from 1 upwards without gap or repeat`,
      got: numbers,
    });
  }
  if (numbers.length !== numImages) {
    throw new ImageError({
      code: 'IM_COUNT',
      function: 'splitAtImages',
      argument: 'text',
      expected: `as many image placeholders as images (${numImages})`,
      got: numbers.length,
    });
  }
  return pieces;
}
