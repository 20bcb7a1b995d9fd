import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { nanoModelFiles } from '@phiblocks/nano';
import { collect, type LanguageModel } from 'phiblocks';
import { loadModel } from 'phiblocks/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { draw, exam, isHeldOut, questionsOf, sceneOf, side } from '../../../tools/nano/vision/scenes.mjs';

const pictures = Array.from({ length: 200 }, (_, index) => index);

describe('the pictures of nano-vision', () => {
  it('of the evaluation are not of the training: their combination of shapes and colours decides', () => {
    const combination = (things: ReturnType<typeof sceneOf>) =>
      JSON.stringify(things.map(({ shape, colour }) => `${shape} ${colour}`).sort());
    const heldOut = pictures.map((index) => sceneOf(1, 'held-out', index));
    const trained = new Set(pictures.map((index) => combination(sceneOf(1, 'train', index))));
    expect(heldOut.every(isHeldOut)).toBe(true);
    expect(heldOut.filter((things) => trained.has(combination(things)))).toEqual([]);
  });

  it('are those of the trainer, byte by byte', () => {
    // tools/nano/vision/test_vision.py expects the same number of its own drawings.
    const hash = createHash('sha256');
    for (const index of pictures.slice(0, 20)) hash.update(draw(sceneOf(1, 'held-out', index)).data);
    expect(hash.digest('hex')).toBe('042807833a684cf9e0770060932f35f3707032b272b82bbe2a0474ddd070a278');
  });
});

describe('nano-vision', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await loadModel('@phiblocks/nano/nano-vision'); // by package name, with no option
  });
  afterAll(() => model.dispose());

  it('loads by path too, and with nothing to remark', async () => {
    const files = await nanoModelFiles('nano-vision');
    const byPath = await loadModel(fileURLToPath(new URL('.', files['config.json'])));
    expect(byPath.config).toEqual(model.config);
    expect(byPath.warnings).toEqual([]);
    await byPath.dispose();
  });

  it('has the chat format of its member, and a picture is one crop and its global view', () => {
    expect(model.chatTemplate).toBe('phi-3-vision');
    expect(model.numImageTokens({ width: side, height: side })).toBe(313);
  });

  it('has a tokenizer that gives back every question and answer', () => {
    const tokenizer = model.tokenizer!;
    for (const index of pictures) {
      for (const { question, answer } of questionsOf(sceneOf(1, 'held-out', index))) {
        for (const text of [question, answer]) {
          expect(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: true })).toBe(text);
        }
      }
    }
  });

  it('answers held-out questions about held-out pictures', async () => {
    let right = 0;
    const asked = exam(1, 'held-out', 3);
    for (const { things, question, answer } of asked) {
      const messages = [{ role: 'user' as const, content: `<|image_1|>\n${question}` }];
      const { text } = await collect(model.generate({ messages, images: [draw(things)], maxNewTokens: 12 }));
      if (text === answer) right++;
    }
    expect(right).toBe(asked.length);
  });
});
