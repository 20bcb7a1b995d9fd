import { readFileSync } from 'node:fs';
import { describeWithShared, expectClose, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import { collect } from '../src/index.ts';
import { loadModel } from '../src/node.ts';

const folder = 'models/stories260k-phi3';

describeWithShared('the trained model stories260k-phi3', folder, () => {
  const description = JSON.parse(readFileSync(sharedPath(folder, 'case.json'), 'utf8')) as {
    cases: { prompt_ids: number[]; greedy_ids: number[] }[];
    tolerance_abs_f32: number;
    published_greedy_text_from_bos: string;
  };

  it('greedy from <s> is the published text, to the letter', async () => {
    const model = await loadModel(sharedPath(folder));
    const published = description.published_greedy_text_from_bos;
    const maxNewTokens = description.cases[0]!.greedy_ids.length;
    let streamed = '';
    let whole = '';
    for await (const item of model.generate({ prompt: '', maxNewTokens })) {
      streamed += item.type === 'token' ? item.text : item.tail;
      if (item.type === 'end') whole = item.text;
    }
    expect(whole).toBe(published);
    expect(streamed).toBe(whole);
    await model.dispose();
  });

  it('the greedy ids and logits of every case', async () => {
    const model = await loadModel(sharedPath(folder));
    const file = readFileSync(sharedPath(folder, 'expected.safetensors'));
    const headerLength = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength));
    for (const [index, { prompt_ids, greedy_ids }] of description.cases.entries()) {
      const end = await collect(model.generate({ promptIds: prompt_ids, maxNewTokens: greedy_ids.length }));
      expect(end.ids).toEqual(greedy_ids);

      const [from, to] = header[`logits.${index}`].data_offsets.map((offset: number) => offset + 8 + headerLength);
      const expected = new Float32Array(file.buffer.slice(file.byteOffset + from, file.byteOffset + to));
      const session = model.createSession();
      const logits = await session.advance(prompt_ids, { logits: 'all' });
      expectClose(
        logits.data,
        expected,
        { absolute: description.tolerance_abs_f32, reason: 'tolerance_abs_f32 of case.json' },
        `logits.${index}`,
      );
      session.dispose();
    }
    await model.dispose();
  });

  it('a text continues its prompt: a space between the two is kept', async () => {
    const model = await loadModel(sharedPath(folder));
    const end = await collect(model.generate({ prompt: 'Once upon a time', maxNewTokens: 8 }));
    expect(end.text.startsWith(', there was')).toBe(true);
    expect(description.published_greedy_text_from_bos.startsWith(`Once upon a time${end.text}`)).toBe(true);
    await model.dispose();
  });
});
