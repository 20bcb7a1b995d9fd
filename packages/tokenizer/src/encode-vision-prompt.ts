import type { RenderedChat } from './chat-templates.ts';
import { longestInput } from './create-tokenizer.ts';
import { tokenizerError } from './errors.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A prompt with room for images. */
export interface VisionPrompt {
  /** Token ids; every place of image N (counted from 1) holds −N, which the embedding replaces by image features. */
  ids: Int32Array;
  /** Where each image lies in `ids`, in the order of the text. */
  imageSpans: { image: number; start: number; count: number }[];
}

/**
 * Token ids of a prompt with image tags `<|image_1|>`, `<|image_2|>`, …, as the processor of Phi-3-vision makes them: the
 * text is cut at the tags, every chunk (also an empty one) is encoded on its own with special tokens, so that each begins
 * with BOS, and the tag of image N becomes that image's number of places.
 *
 * Source: `processing_phi3_v.py`, `_convert_images_texts_to_inputs`.
 *
 * @param tokenizer - that of Phi-3-vision
 * @param prompt - text, or a chat from `renderChatParts`, whose messages then yield no special tokens
 * @param imageTokenCounts - number of places of image 1, 2, …
 * @throws Phi3Error `TK_IMAGE_TAG` unless the tags are 1 … n, each once, in any order, for n images; what `encode` throws
 * @example
 * const bytes = Array.from({ length: 256 }, (_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}\n`).join('');
 * encodeVisionPrompt(parseTiktoken(bytes), 'a<|image_1|>b', [3]).ids; // => [97, -1, -1, -1, 98]
 */
export function encodeVisionPrompt(
  tokenizer: Tokenizer,
  prompt: string | RenderedChat,
  imageTokenCounts: readonly number[],
): VisionPrompt {
  const { text, contentRanges }: RenderedChat =
    typeof prompt === 'string' ? { text: prompt, contentRanges: [] } : prompt;
  let total = 0;
  for (const [index, count] of imageTokenCounts.entries()) {
    total += count;
    if (!Number.isInteger(count) || count < 1 || total > longestInput)
      reject(`imageTokenCounts[${index}]`, 'a whole number of places from 1, not too many', count);
  }

  const chunks: Int32Array[] = [];
  const imageSpans: VisionPrompt['imageSpans'] = [];
  const seen = new Set<number>();
  let length = 0;
  const addChunk = (start: number, end: number): void => {
    const literalRanges: [number, number][] = [];
    for (const [from, to] of contentRanges)
      if (from < end && to > start) literalRanges.push([Math.max(from, start) - start, Math.min(to, end) - start]);
    const ids = tokenizer.encode(text.slice(start, end), { literalRanges });
    chunks.push(ids);
    length += ids.length;
  };
  let from = 0;
  for (const match of text.matchAll(/<\|image_(\d+)\|>/g)) {
    const image = Number(match[1]);
    const count = imageTokenCounts[image - 1];
    if (count === undefined) reject(match[0], `an image number from 1 to ${imageTokenCounts.length}`, image);
    if (seen.has(image)) reject(match[0], 'every image once', image);
    seen.add(image);
    addChunk(from, match.index);
    imageSpans.push({ image, start: length, count });
    chunks.push(new Int32Array(count).fill(-image));
    length += count;
    from = match.index + match[0].length;
  }
  if (seen.size !== imageTokenCounts.length)
    reject('imageTokenCounts', `a tag for each of ${imageTokenCounts.length} images`, seen.size);
  addChunk(from, text.length);

  const ids = new Int32Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    ids.set(chunk, offset);
    offset += chunk.length;
  }
  return { ids, imageSpans };
}

function reject(key: string, expected: string, got: unknown): never {
  throw tokenizerError({ code: 'TK_IMAGE_TAG', function: 'encodeVisionPrompt', expected, got, where: { key } });
}
