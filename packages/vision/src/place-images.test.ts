import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locateImages } from './locate-images.ts';
import { placeImages } from './place-images.ts';
import { splitAtImages } from './split-at-images.ts';
import { writeImageFeatures } from './write-image-features.ts';

describe('splitAtImages', () => {
  it('cuts at every placeholder, also at the ends and between neighbours', () => {
    expect(splitAtImages('a<|image_1|>b<|image_2|>c', 2)).toEqual(['a', 'b', 'c']);
    expect(splitAtImages('<|image_1|><|image_2|>', 2)).toEqual(['', '', '']);
    expect(splitAtImages('no image', 0)).toEqual(['no image']);
    const twelve = Array.from({ length: 12 }, (_, i) => `<|image_${i + 1}|>\n`).join('');
    expect(splitAtImages(twelve, 12)).toEqual(['', ...Array(12).fill('\n')]);
  });

  it('<|image|> is a token of the vocabulary, not a placeholder', () => {
    expect(splitAtImages('<|image|> <|image_|> <|image_x|>', 0).length).toBe(1);
  });

  it('IM-13: as many placeholders as images', () => {
    expect(() => splitAtImages('<|image_1|>', 2)).toThrow(
      'IM_COUNT splitAtImages(text): expected as many image placeholders as images (2), got 1',
    );
    expect(() => splitAtImages('<|image_1|> <|image_2|>', 1)).toThrow(/^IM_COUNT .* as images \(1\), got 2/);
    expect(() => splitAtImages('<|image_1|>', 0)).toThrow(/^IM_COUNT/);
    expect(() => splitAtImages('none', 1)).toThrow(/^IM_COUNT/);
  });

  it('IM-14: numbers from 1 without gap or repeat, in the order of the text', () => {
    for (const numbers of [[0], [2], [1, 3], [1, 1], [2, 1], [0, 1], ['99999999999999999999']]) {
      const text = numbers.map((number) => `<|image_${number}|>`).join(' and ');
      expect(() => splitAtImages(text, numbers.length), text).toThrow(/^IM_PLACEHOLDER splitAtImages\(text\)/);
    }
    expect(() => splitAtImages('<|image_1|><|image_3|>', 2)).toThrow(
      'expected <|image_2|> as placeholder 2: numbers from 1 upwards without gap or repeat, got [1, 3]',
    );
  });

  it('rejects a number of images that is none', () => {
    for (const bad of [-1, 0.5, Number.NaN]) expect(() => splitAtImages('', bad)).toThrow(/^ARGUMENT splitAtImages/);
  });

  it('text that looks like many beginnings of placeholders is read in linear time', () => {
    const text = '<|image_1'.repeat(100_000);
    expect(splitAtImages(text, 0)).toEqual([text]);
    expect(splitAtImages(`<|image_${'1'.repeat(100_000)}`, 0).length).toBe(1);
  });
});

const pieces = fc.array(fc.array(fc.nat(0x7fffffff), { maxLength: 6 }), { minLength: 1, maxLength: 6 });

describe('placeImages', () => {
  it('by hand: image k is a run of -k', () => {
    expect(Array.from(placeImages([[1, 9], [1], []], [2, 3]))).toEqual([1, 9, -1, -1, 1, -2, -2, -2]);
    expect(Array.from(placeImages([[1, 9]], []))).toEqual([1, 9]);
  });

  it('is the concatenation, and locateImages finds the images again', () => {
    fc.assert(
      fc.property(pieces, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (texts, stream) => {
        const counts = [...stream.take(texts.length - 1)];
        const expected = texts.flatMap((piece, i) => [...piece, ...Array(counts[i] ?? 0).fill(-(i + 1))]);
        const ids = placeImages(texts, counts);
        expect(Array.from(ids)).toEqual(expected);
        expect(locateImages(ids, counts)).toEqual(counts.map((_, i) => expected.indexOf(-(i + 1))));
      }),
      { seed: 13 },
    );
  });

  it('rejects what does not fit', () => {
    expect(() => placeImages([[1], [1]], [])).toThrow(
      'IM_COUNT placeImages(pieces): expected one piece of text more than images (0), got 2',
    );
    expect(() => placeImages([[1]], [5])).toThrow(/^IM_COUNT/);
    for (const bad of [0, -1, 1.5, Number.NaN]) {
      expect(() => placeImages([[], []], [bad])).toThrow(/^ARGUMENT placeImages\(imageTokenCounts\[0\]\)/);
    }
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 31]) {
      expect(() => placeImages([[1, bad]], [])).toThrow(
        'ARGUMENT placeImages(pieces[0][1]): expected a token id from 0 up',
      );
    }
  });
});

describe('locateImages', () => {
  it('neighbouring images are told apart by their ids', () => {
    expect(locateImages([-1, -1, -2, -2, -2], [2, 3])).toEqual([0, 2]);
  });

  it('IM-13: as many images as were given', () => {
    expect(() => locateImages([1, -1, -1, 1], [])).toThrow(
      'IM_COUNT locateImages(ids): expected as many runs of negative ids as images (0), got 1',
    );
    expect(() => locateImages([1, -1, -1, 1], [2, 2])).toThrow(/^IM_COUNT .* as images \(2\), got 1/);
  });

  it('IM-14: gaps, repeats and another order', () => {
    for (const ids of [[-2], [-1, 5, -1], [-1, -3], [-2, -1], [-1.5]]) {
      expect(() => locateImages(ids, [1, 1]), ids.join()).toThrow(/^IM_PLACEHOLDER locateImages\(ids\)/);
    }
  });

  it('a run of another length', () => {
    expect(() => locateImages([-1, -1, -1], [2])).toThrow(
      'IM_TOKENS locateImages(ids): expected a run of 2 for image 1, got 3',
    );
    expect(() => locateImages([-1, 3, -2], [1, 2])).toThrow(
      'IM_TOKENS locateImages(ids): expected a run of 2 for image 2, got 1',
    );
  });
});

describe('writeImageFeatures', () => {
  const embeddings = { data: Float32Array.of(1, 2, 0, 0, 0, 0, 3, 4, 0, 0), shape: [5, 2] };
  const first = { data: Float32Array.of(10, 11, 12, 13), shape: [2, 2] };
  const second = { data: Float32Array.of(20, 21), shape: [1, 2] };

  it('overwrites the rows of every image and nothing else', () => {
    const { data, shape } = writeImageFeatures(embeddings, [7, -1, -1, 8, -2], [first, second]);
    expect(shape).toEqual([5, 2]);
    expect(Array.from(data)).toEqual([1, 2, 10, 11, 12, 13, 3, 4, 20, 21]);
    expect(embeddings.data[2]).toBe(0);
  });

  it('rejects what does not fit', () => {
    const ids = [7, -1, -1, 8, -2];
    expect(() => writeImageFeatures(embeddings, ids, [first])).toThrow(/^IM_COUNT/);
    expect(() => writeImageFeatures(embeddings, ids, [second, first])).toThrow(/^IM_TOKENS/);
    expect(() => writeImageFeatures(embeddings, [...ids, 1], [first, second])).toThrow(
      /^SHAPE writeImageFeatures\(embeddings\)/,
    );
    const narrow = { data: new Float32Array(2), shape: [2, 1] };
    expect(() => writeImageFeatures(embeddings, ids, [narrow, second])).toThrow(
      /^SHAPE writeImageFeatures\(features\[0\]\)/,
    );
  });
});
