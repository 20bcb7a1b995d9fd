import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import { createLanguageModel, type LanguageModel } from '../src/index.ts';
import { openTokenizer } from '../src/node.ts';
import { openTinyMember, type TinyMember } from './tiny-members.ts';

// Tiny weights beside the published tokenizers: what a checkpoint folder of each member holds besides numbers.

const shared = (path: string) => new Uint8Array(readFileSync(sharedPath('tokenizers', path)));

async function withTokenizer(
  member: TinyMember,
  config: object,
  files: Record<string, Uint8Array>,
): Promise<LanguageModel> {
  const narrow = { hidden_size: 8, num_attention_heads: 2, num_key_value_heads: 1, num_hidden_layers: 1, ...config };
  return createLanguageModel(
    await openTinyMember(member, { config: narrow, files }),
    member === 'phi3_v' ? { numCrops: 1 } : {},
  );
}

describeWithShared('Phi-3-small', 'tokenizers/phi-3-small', () => {
  const files = () => ({
    'cl100k_base.tiktoken': shared('phi-3-small/cl100k_base.tiktoken'),
    'chat_template.jinja': shared('phi-3-small/chat_template.jinja'),
  });

  it('brings its tokenizer as ranks, its chat format, and ids that are never generated', async () => {
    const config = { vocab_size: 100352, dummy_token_indices: undefined, bos_token_id: 100257, eos_token_id: 100257 };
    const model = await withTokenizer('phi3small', config, files());
    expect(model.chatTemplate).toBe('phi-3-small');
    expect([...model.stopTokenIds].sort()).toEqual([100257, 100266]);
    const ids = model.encodeChat([{ role: 'user', content: 'Hello' }]);
    expect(model.tokenizer!.decode(ids)).toBe('<|endoftext|><|user|>\nHello<|end|>\n<|assistant|>\n');
    const { data } = await model.createSession().advance(ids);
    // Source: the list of the published tokenizer code, section 7.4 of the specification.
    const unused = [100256, 100258, 100259, 100260, 100264, 100265];
    for (let id = 100267; id < 100352; id++) unused.push(id);
    const masked = [...data.keys()].filter((id) => data[id]! < -3e38);
    expect(masked).toEqual(unused);
  });

  it('openTokenizer finds the ranks in a folder and by name', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'phiblocks-'));
    await writeFile(join(folder, 'cl100k_base.tiktoken'), files()['cl100k_base.tiktoken']);
    for (const path of [folder, join(folder, 'cl100k_base.tiktoken')]) {
      expect((await openTokenizer(path)).encode('<|end|>')).toEqual(Int32Array.of(100266));
    }
    await rm(folder, { recursive: true });
  });
});

describeWithShared('Phi-3-vision', 'tokenizers/phi-3-vision', () => {
  const load = () =>
    withTokenizer(
      'phi3_v',
      { vocab_size: 32064 },
      {
        'tokenizer.json': shared('phi-3-vision/tokenizer.json'),
        'tokenizer_config.json': shared('phi-3-vision/tokenizer_config.json'),
        'chat_template.jinja': shared('phi-3-vision/chat_template.jinja'),
      },
    );
  const { cases } = JSON.parse(new TextDecoder().decode(shared('goldens/vision-prompt.json'))) as {
    cases: { id: string; text: string; num_img_tokens: number[]; segments?: (number[] | Segment)[] }[];
  };
  type Segment = { image: number; count: number };

  it('encodes prompts as the published processor, but for images out of order', async () => {
    const model = await load();
    let numCompared = 0;
    for (const { id, text, num_img_tokens, segments } of cases) {
      if (!segments) {
        // The processor refuses these prompts too.
        expect(() => model.encodePrompt(text, num_img_tokens), id).toThrow(/^IM_(COUNT|PLACEHOLDER)/);
        continue;
      }
      const images = segments.filter((segment): segment is Segment => !Array.isArray(segment));
      if (images.some(({ image }, index) => image !== index + 1)) {
        expect(() => model.encodePrompt(text, num_img_tokens), id).toThrow(/^IM_PLACEHOLDER/);
        continue;
      }
      const expected = segments.flatMap((segment) =>
        Array.isArray(segment) ? segment : new Array<number>(segment.count).fill(-segment.image),
      );
      expect([...model.encodePrompt(text, num_img_tokens)], id).toEqual(expected);
      numCompared++;
    }
    expect(numCompared).toBeGreaterThan(3);
  });

  it('encodes a conversation like the text of its template', async () => {
    const model = await load();
    expect(model.chatTemplate).toBe('phi-3-vision');
    const content = '<|image_1|>\nWhat is shown in this image?';
    const text = `<|user|>\n${content}<|end|>\n<|assistant|>\n`;
    expect(model.encodeChat([{ role: 'user', content }], [313])).toEqual(model.encodePrompt(text, [313]));
    // The vision processor begins with <s> also where there is no image.
    expect(model.encodeChat([{ role: 'user', content: 'Hello' }])[0]).toBe(1);
    expect(() => model.encodeChat([{ role: 'user', content: 'Hello' }], [313])).toThrow(/^IM_COUNT/);
  });
});
