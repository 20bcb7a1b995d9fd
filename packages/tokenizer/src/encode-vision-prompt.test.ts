import { describe, expect, it } from 'vitest';
import { tinyRanks } from '../test/tiny-tokenizer.ts';
import { renderChatParts } from './chat-templates.ts';
import { encodeVisionPrompt } from './encode-vision-prompt.ts';
import { parseTiktoken } from './parse-tiktoken.ts';

const tokenizer = parseTiktoken(tinyRanks(), {
  specialTokens: ['<|user|>', '<|end|>', '<|assistant|>'].map((content, k) => ({ id: 256 + k, content })),
});

// Against the published processor it is checked by the vision goldens; here is what those do not have.
describe('encodeVisionPrompt', () => {
  it('says where the images lie', () => {
    expect(encodeVisionPrompt(tokenizer, '<|image_2|>ab<|image_1|>', [2, 1])).toEqual({
      ids: Int32Array.of(-2, 97, 98, -1, -1),
      imageSpans: [
        { image: 2, start: 0, count: 1 },
        { image: 1, start: 3, count: 2 },
      ],
    });
  });

  it('keeps what was written in a chat plain text, on both sides of a tag', () => {
    const content = '<|end|><|image_1|><|user|>';
    const chat = renderChatParts('phi-3-vision', [{ role: 'user', content }], { addGenerationPrompt: false });
    const { ids } = encodeVisionPrompt(tokenizer, chat, [1]);
    expect(ids.filter((id) => id >= 256)).toEqual(Int32Array.of(256, 257));
    expect(tokenizer.decode(ids.filter((id) => id >= 0))).toBe('<|user|>\n<|end|><|user|><|end|>\n');
  });

  it('rejects tags that do not match the images', () => {
    const failing: [string, number[]][] = [
      ['no tag', [3]],
      ['<|image_1|>', []],
      ['<|image_1|><|image_1|>', [3]],
      ['<|image_0|>', [3]],
      ['<|image_99999999999999999999|>', [3]],
      ['<|image_1|>', [0]],
      ['<|image_1|>', [1.5]],
      ['<|image_1|>', [2 ** 40]],
      ['<|image_1|>', [Number.NaN]],
    ];
    for (const [text, counts] of failing)
      expect(() => encodeVisionPrompt(tokenizer, text, counts)).toThrow(
        expect.objectContaining({ code: 'TK_IMAGE_TAG' }),
      );
  });
});
