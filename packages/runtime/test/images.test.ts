import { createSeededRandom } from '@phiblocks/testing';
import type { RgbImage } from '@phiblocks/vision';
import { describe, expect, it } from 'vitest';
import {
  collect,
  createLanguageModel,
  createReferenceBackend,
  type GenerateOptions,
  type LanguageModel,
  type LanguageModelOptions,
} from '../src/index.ts';
import { tinyTokenizerJson } from './tiny-checkpoint.ts';
import { openTinyMember } from './tiny-members.ts';

// Images in sequences and prompts. With one crop an image has (1 + 1) · 144 + 1 + (1 + 1) · 12 = 313 tokens.
const tokens = 313;

async function visionModel(options: LanguageModelOptions = {}): Promise<LanguageModel> {
  const files = { 'tokenizer.json': tinyTokenizerJson() };
  return createLanguageModel(await openTinyMember('phi3_v', { files }), { numCrops: 1, ...options });
}

function picture(seed: number): RgbImage {
  const random = createSeededRandom(seed);
  return { width: 20, height: 20, data: Uint8Array.from(random.normals(1200, 1), (x) => Math.abs(x * 100) % 256) };
}

const imageIds = (number: number, count = tokens): number[] => new Array(count).fill(-number);

/** Counts how often an image is encoded. */
function countEncodings(model: LanguageModel): { count: number } {
  const counter = { count: 0 };
  const images = model.network.images!;
  const encode = images.encode;
  images.encode = (...args) => {
    counter.count++;
    return encode(...args);
  };
  return counter;
}

describe('images in a session', () => {
  const promptIds = [1, 40, ...imageIds(1), 1, 41];

  it('a second turn computes neither the image nor the text before it again', async () => {
    const model = await visionModel();
    const encodings = countEncodings(model);
    const session = model.createSession();
    const first = await collect(
      session.generate({ promptIds, images: [picture(1)], maxNewTokens: 3, ignoreEos: true }),
    );
    const nextIds = [...promptIds, ...first.ids, 50];
    const second = await collect(
      session.generate({ promptIds: nextIds, images: [picture(1)], maxNewTokens: 3, ignoreEos: true }),
    );
    expect(second.usage.cachedPromptTokens).toBe(promptIds.length + 2);
    expect(encodings.count).toBe(1);
    const fresh = await collect(
      model.generate({ promptIds: nextIds, images: [picture(1)], maxNewTokens: 3, ignoreEos: true }),
    );
    expect(second.ids).toEqual(fresh.ids);
  });

  it('another image behind the same ids is another prompt', async () => {
    const model = await visionModel();
    const session = model.createSession();
    await collect(session.generate({ promptIds, images: [picture(1)], maxNewTokens: 2 }));
    const other = await collect(
      session.generate({ promptIds, images: [picture(2)], maxNewTokens: 4, ignoreEos: true }),
    );
    expect(other.usage.cachedPromptTokens).toBe(2);
    const fresh = await collect(model.generate({ promptIds, images: [picture(2)], maxNewTokens: 4, ignoreEos: true }));
    expect(other.ids).toEqual(fresh.ids);
  });

  it('a second image leaves the first where it is', async () => {
    const model = await visionModel();
    const encodings = countEncodings(model);
    const session = model.createSession();
    await session.advance(promptIds, { images: [picture(1)] });
    const both = [picture(1), picture(2)];
    const logits = await session.advance([...imageIds(2), 1], { images: both });
    expect(encodings.count).toBe(2);
    const fresh = await model.createSession().advance([...promptIds, ...imageIds(2), 1], { images: both });
    // The same passes in other chunks: sums of float64 rounded to float32 in the same order.
    expect(logits.data).toEqual(fresh.data);
  });

  it('images count as text in no penalty and in no decoded text', async () => {
    const model = await visionModel();
    const options = { promptIds: [...imageIds(1)], images: [picture(1)], maxNewTokens: 3, repetitionPenalty: 1.2 };
    expect((await collect(model.generate({ ...options, ignoreEos: true }))).ids).toHaveLength(3);
  });

  it('bytes are the caller’s: changing them afterwards changes nothing', async () => {
    const model = await visionModel();
    const session = model.createSession();
    const image = picture(1);
    await collect(session.generate({ promptIds, images: [image], maxNewTokens: 1 }));
    image.data.fill(0);
    const again = await collect(session.generate({ promptIds, images: [image], maxNewTokens: 1 }));
    expect(again.usage.cachedPromptTokens).toBe(2);
  });

  it('aborted while an image is encoded, the session is as it was and nothing stays behind', async () => {
    const backend = createReferenceBackend();
    const model = await visionModel({ backend });
    const session = model.createSession();
    const before = backend.liveHandles();
    const controller = new AbortController();
    const encode = model.network.images!.encode;
    model.network.images!.encode = (image, options) => {
      controller.abort();
      return encode(image, options);
    };
    await expect(session.advance(promptIds, { images: [picture(1)], signal: controller.signal })).rejects.toMatchObject(
      { code: 'ABORTED' },
    );
    expect(session.ids).toEqual([]);
    expect(backend.liveHandles()).toBe(before);
  });
});

describe('forms of an image', () => {
  it('RGB, RGBA and a file through the decoder are the same image', async () => {
    const rgb = picture(3);
    const rgba = { ...rgb, data: new Uint8ClampedArray(1600).fill(200) };
    for (let i = 0; i < 400; i++) rgba.data.set(rgb.data.subarray(3 * i, 3 * i + 3), 4 * i);
    const model = await visionModel({ decodeImage: async () => rgb });
    for (const input of [rgb, rgba, new Blob([])]) expect(await model.readImage(input)).toEqual(rgb);
  });

  it('a file without a decoder is an error that says so', async () => {
    const model = await visionModel();
    await expect(model.readImage(new Blob([]))).rejects.toMatchObject({ code: 'IM_DECODER_MISSING' });
  });
});

describe('prompts with images', () => {
  it('each piece of text begins with <s>, each placeholder becomes as many ids as the image has tokens', async () => {
    const model = await visionModel();
    const { promptIds, ids } = await collect(
      model.generate({ prompt: 'the<|image_1|>an', images: [picture(1)], maxNewTokens: 1 }),
    );
    const piece = (text: string) => [...model.tokenizer!.encode(text)];
    expect(promptIds).toEqual([...piece('the'), ...imageIds(1), ...piece('an')]);
    expect(ids).toHaveLength(1);
  });

  it.each<[string, GenerateOptions, string]>([
    ['no placeholder', { prompt: 'a', images: [picture(1)] }, 'IM_COUNT'],
    ['no image', { prompt: 'a<|image_1|>' }, 'IM_COUNT'],
    ['a placeholder twice', { prompt: '<|image_1|><|image_1|>', images: [picture(1), picture(2)] }, 'IM_PLACEHOLDER'],
    ['a gap', { prompt: '<|image_1|><|image_3|>', images: [picture(1), picture(2)] }, 'IM_PLACEHOLDER'],
    ['another order', { prompt: '<|image_2|><|image_1|>', images: [picture(1), picture(2)] }, 'IM_PLACEHOLDER'],
    ['a run too short', { promptIds: [1, ...imageIds(1, 312), 1], images: [picture(1)] }, 'IM_TOKENS'],
    ['a run too long', { promptIds: [1, ...imageIds(1, 314), 1], images: [picture(1)] }, 'IM_TOKENS'],
    ['ids of no image', { promptIds: [1, -1] }, 'IM_COUNT'],
    ['an image that is none', { prompt: '<|image_1|>', images: [{ ...picture(1), width: 21 }] }, 'IM_DATA'],
    ['no pixels', { prompt: '<|image_1|>', images: [{ width: 0, height: 0, data: new Uint8Array() }] }, 'IM_SIZE'],
  ])('%s is an error before any work', async (_, options, code) => {
    const model = await visionModel();
    const encodings = countEncodings(model);
    await expect(collect(model.generate(options))).rejects.toMatchObject({ code });
    expect(encodings.count).toBe(0);
  });

  it('an image beyond the context is an error before it is encoded', async () => {
    const model = await visionModel();
    const encodings = countEncodings(model);
    const prompt = '<|image_1|>';
    const session = model.createSession({ contextLength: 300 });
    await expect(collect(session.generate({ prompt, images: [picture(1)] }))).rejects.toMatchObject({
      code: 'CTX_OVERFLOW',
    });
    await expect(session.advance(imageIds(1), { images: [picture(1)] })).rejects.toMatchObject({
      code: 'CTX_OVERFLOW',
    });
    expect(encodings.count).toBe(0);
  });

  it.each<[string, number[][], RgbImage[], string]>([
    ['text inside an image', [[...imageIds(1, 5), 7]], [picture(1)], 'IM_TOKENS'],
    ['text inside an image, in the next call', [imageIds(1, 5), [7]], [picture(1)], 'IM_TOKENS'],
    ['an image that goes on', [imageIds(1), [-1]], [picture(1)], 'IM_TOKENS'],
    ['the second image first', [[1, -2]], [picture(1), picture(2)], 'IM_PLACEHOLDER'],
    ['the first image again', [[...imageIds(1), 7, -1]], [picture(1)], 'IM_PLACEHOLDER'],
    ['an image that was not given', [[...imageIds(1), -2]], [picture(1)], 'IM_COUNT'],
  ])('advance with %s is an error', async (_, parts, images, code) => {
    const session = (await visionModel()).createSession();
    const last = parts.pop()!;
    for (const part of parts) await session.advance(part, { images });
    const held = [...session.ids];
    await expect(session.advance(last, { images })).rejects.toMatchObject({ code });
    expect(session.ids).toEqual(held);
  });

  it('an image in place of one that is held is an error', async () => {
    const session = (await visionModel()).createSession();
    await session.advance(imageIds(1), { images: [picture(1)] });
    await expect(session.advance([1], { images: [picture(2)] })).rejects.toMatchObject({ code: 'ARGUMENT' });
  });

  it('id 0 is a token like any other', async () => {
    const session = (await visionModel()).createSession();
    await session.advance([0, ...imageIds(1), 0, 0], { images: [picture(1)] });
    expect(session.ids).toHaveLength(3 + tokens);
  });

  it.each([
    ['a vision model that does not know its number of crops', 'phi3_v'],
    ['a model that sees none', 'phi3'],
  ] as const)('images for %s are an error', async (_, member) => {
    const model = await createLanguageModel(await openTinyMember(member));
    const options = { promptIds: [1], images: [picture(1)] };
    await expect(collect(model.generate(options))).rejects.toMatchObject({ code: 'IMAGES_UNSUPPORTED' });
    expect(() => model.numImageTokens({ width: 5, height: 5 })).toThrow(/^IMAGES_UNSUPPORTED/);
  });

  it('numCrops for a model without images, and one that is none, are errors', async () => {
    await expect(createLanguageModel(await openTinyMember('phi3'), { numCrops: 4 })).rejects.toMatchObject({
      code: 'ARGUMENT',
    });
    await expect(visionModel({ numCrops: 65 })).rejects.toMatchObject({ code: 'IM_NUM_CROPS' });
  });

  it('preprocessor_config.json says into how many crops a picture is cut', async () => {
    const files = { 'preprocessor_config.json': new TextEncoder().encode('{"num_crops": 4}') };
    const model = await createLanguageModel(await openTinyMember('phi3_v', { files }));
    expect(model.numImageTokens({ width: 336, height: 336 })).toBe(757);
  });

  it('a tower of another geometry is an error', async () => {
    const tiny = await openTinyMember('phi3_v');
    if (tiny.config.modelType !== 'phi3_v') throw new Error('no vision member');
    const { imgProcessor } = tiny.config;
    const clipConfig = { ...imgProcessor.clipConfig, imageSize: 224 };
    const config = { ...tiny.config, imgProcessor: { ...imgProcessor, clipConfig } };
    await expect(createLanguageModel({ ...tiny, config })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('heads that do not fit', () => {
  it.each([
    ['key/value heads that do not divide the heads', { num_attention_heads: 4, num_key_value_heads: 3 }],
    ['heads that do not divide the width', { num_attention_heads: 5, num_key_value_heads: 5 }],
  ])('%s are an error of the configuration', async (_, config) => {
    for (const member of ['phi3', 'phi3small', 'phimoe', 'phi3_v'] as const) {
      await expect(openTinyMember(member, { config })).rejects.toMatchObject({ code: 'CF_HEADS' });
    }
  });

  it('an unknown model_type lists the known ones', async () => {
    await expect(openTinyMember('phi3', { config: { model_type: 'phi5' } })).rejects.toThrow(
      /CF_MODEL_TYPE.*phi3, phi3small, phimoe, phi3_v/,
    );
  });
});
