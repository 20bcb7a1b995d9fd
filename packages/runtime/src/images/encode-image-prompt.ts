import { encodeVisionPrompt, type RenderedChat, type Tokenizer } from '@phiblocks/tokenizer';
import { splitAtImages } from '@phiblocks/vision';

/**
 * Ids of a prompt for a model that sees images: cut at `<|image_1|>`, `<|image_2|>`, …, every piece tokenized with its own
 * begin-of-text token, image N as a run of -N. A prompt without images is one piece, with one such token.
 *
 * @param imageTokenCounts - tokens of each image
 * @throws ImageError `IM_COUNT`, `IM_PLACEHOLDER` unless the placeholders are 1, 2, … in order, one for each image: the
 * published processor takes them in any order, but its model pairs them with the images by place
 */
export function encodeImagePrompt(
  tokenizer: Tokenizer,
  prompt: string | RenderedChat,
  imageTokenCounts: readonly number[],
): Int32Array {
  splitAtImages(typeof prompt === 'string' ? prompt : prompt.text, imageTokenCounts.length);
  return encodeVisionPrompt(tokenizer, prompt, imageTokenCounts).ids;
}
