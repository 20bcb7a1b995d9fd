import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describeWithShared, expectClose, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { hdTransform, hdTransformSize, imageTokenCount, preprocessImage, type RgbImage } from '../src/index.ts';
import { decodeImage } from './support/decode-image.ts';
import { readSafetensors } from './support/read-safetensors.ts';

interface Run {
  num_crops: number;
  image_size: [number, number];
  num_img_tokens: number;
  used_crops: number;
  hd_u8_sha256: string;
  crop_mean: number[][];
  crop_std: number[][];
  patches: [number, number][];
}

interface ImageCase {
  file: string;
  width: number;
  height: number;
  rgb_sha256: string;
  runs: Run[];
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

// Pillow 9.4.0 and torch doing the operations of the published image processor; see the README beside the data.
describeWithShared('pictures through the published processor', 'vision/expected.json', () => {
  const { cases } = JSON.parse(readFileSync(sharedPath('vision', 'expected.json'), 'utf8')) as { cases: ImageCase[] };
  const expected = readSafetensors(sharedPath('vision', 'expected.safetensors'));

  it('there are pictures, and every stored tensor belongs to one of them', () => {
    expect(cases.length).toBe(13);
    const prefixes = cases.flatMap(({ file, runs }) => runs.map((run) => `${file}.n${run.num_crops}.`));
    expect(expected.names.filter((name) => !prefixes.some((prefix) => name.startsWith(prefix)))).toEqual([]);
  });

  describe.each(cases)('$file', ({ file, width, height, rgb_sha256, runs }) => {
    let decoded: RgbImage | undefined;
    const image = () => {
      decoded ??= decodeImage(readFileSync(sharedPath('vision', 'images', file)));
      return decoded;
    };

    it('decodes to the bytes that Pillow converts to RGB (alpha dropped, grey repeated, palette looked up)', () => {
      expect([image().width, image().height]).toEqual([width, height]);
      expect(sha256(image().data)).toBe(rgb_sha256);
    });

    it.each(runs)('$num_crops crops', (run) => {
      const hd = hdTransform(image(), { numCrops: run.num_crops });
      expect([hd.height, hd.width]).toEqual(run.image_size);
      expect(sha256(hd.data), 'every byte after resizing and padding').toBe(run.hd_u8_sha256);

      const { pixelValues, imageSize, numImageTokens } = preprocessImage(image(), { numCrops: run.num_crops });
      expect([imageSize.height, imageSize.width]).toEqual(run.image_size);
      expect(numImageTokens).toBe(run.num_img_tokens);
      expect(pixelValues.shape).toEqual([run.num_crops + 1, 3, 336, 336]);

      const name = (what: string) => `${file}.n${run.num_crops}.${what}`;
      const patches = expected.get(name('patches_u8'));
      const cut = run.patches.flatMap(([top, left]) => patchOf(hd, top, left));
      expectClose(cut, patches.data, { reason: 'bytes are exact' }, 'patches_u8');

      const sample = everyNth(pixelValues, 3, 5, 42);
      expect(sample, 'pixel_sample, to the bit').toEqual(Array.from(expected.get(name('pixel_sample')).data));

      if (run.num_crops === 16) {
        const globalView = { data: pixelValues.data.subarray(0, 3 * 336 * 336), shape: [1, 3, 336, 336] };
        const globalSample = Array.from(expected.get(name('global_sample')).data);
        expect(everyNth(globalView, 1, 1, 6), 'global_sample, to the bit').toEqual(globalSample);
        expectClose(
          blockMeans(hd, 21),
          expected.get(name('block_means')).data,
          { absolute: 1e-4, reason: 'means of bytes in float32: 255 · 2⁻²⁴ and what the order of summing adds' },
          'block_means',
        );
      }
      for (const [slot, means] of run.crop_mean.entries()) {
        const actual = statistics(pixelValues.data, slot);
        expectClose(actual.means, means, { absolute: 1e-6, reason: 'means in float64 of float32 values' }, 'crop_mean');
        expectClose(
          actual.deviations,
          run.crop_std[slot]!,
          { absolute: 1e-6, reason: 'the same' },
          `crop_std of ${slot}`,
        );
      }
      const used = (run.used_crops + 1) * 3 * 336 * 336;
      expect(
        pixelValues.data.subarray(used).every((value) => Object.is(value, 0)),
        'unused slots are zeros',
      ).toBe(true);
    });
  });
});

describeWithShared('sizes of the published processor', 'vision/sizes.json', () => {
  const { columns, rows } = JSON.parse(readFileSync(sharedPath('vision', 'sizes.json'), 'utf8')) as {
    columns: string[];
    rows: (number | null)[][];
  };

  it('the columns are those this test reads', () => {
    expect(columns).toEqual([
      ...['width', 'height', 'num_crops', 'new_w', 'new_h', 'transposed'],
      ...['pad_before', 'pad_after', 'H', 'W', 'num_img_tokens'],
    ]);
    expect(rows.length).toBe(195);
  });

  it.each(rows.map((row) => [row.slice(0, 3).join(' '), row] as const))('%s', (_, row) => {
    const [width, height, numCrops, ...wanted] = row as [number, number, number, ...number[]];
    if (wanted[0] === null) {
      expect(() => hdTransformSize(width, height, numCrops)).toThrow(/^IM_ASPECT_RATIO/);
      return;
    }
    const size = hdTransformSize(width, height, numCrops);
    const landscape = [size.resizedWidth, size.resizedHeight];
    if (size.transposed) landscape.reverse();
    expect([
      ...landscape,
      Number(size.transposed),
      ...[size.paddingBefore, size.paddingAfter, size.height, size.width],
      imageTokenCount(size.height, size.width),
    ]).toEqual(wanted);
  });
});

describeWithShared('sizes of the golden case block-image-a', 'goldens/block-image-a', () => {
  it('every row of its table', () => {
    const { size_table } = JSON.parse(readFileSync(sharedPath('goldens', 'block-image-a', 'case.json'), 'utf8')) as {
      size_table: [number, number, number, number, number, number][];
    };
    expect(size_table.length).toBe(122);
    const computed = size_table.map(([width, height, numCrops]) => {
      const size = hdTransformSize(width, height, numCrops);
      return [width, height, numCrops, size.width, size.height, imageTokenCount(size.height, size.width)];
    });
    expect(computed).toEqual(size_table);
  });
});

/** The 24 × 24 bytes at (top, left), three channels. */
function patchOf({ width, data }: RgbImage, top: number, left: number): number[] {
  const patch: number[] = [];
  for (let y = top; y < top + 24; y++) {
    patch.push(...data.subarray((y * width + left) * 3, (y * width + left + 24) * 3));
  }
  return patch;
}

/** `[:, :, firstRow::step, firstColumn::step]` of `[views, 3, 336, 336]`. */
function everyNth(
  { data, shape }: { data: Float32Array; shape: readonly number[] },
  firstRow: number,
  firstColumn: number,
  step: number,
): number[] {
  const picked: number[] = [];
  for (let plane = 0; plane < shape[0]! * 3; plane++) {
    for (let y = firstRow; y < 336; y += step) {
      for (let x = firstColumn; x < 336; x += step) picked.push(data[(plane * 336 + y) * 336 + x]!);
    }
  }
  return picked;
}

function blockMeans({ width, height, data }: RgbImage, size: number): Float64Array {
  const columns = width / size;
  const means = new Float64Array((height / size) * columns * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = (Math.floor(y / size) * columns + Math.floor(x / size)) * 3;
      for (let channel = 0; channel < 3; channel++) {
        means[block + channel]! += data[(y * width + x) * 3 + channel]! / (size * size);
      }
    }
  }
  return means;
}

/** Mean and population standard deviation per channel of one view. */
function statistics(data: Float32Array, slot: number): { means: number[]; deviations: number[] } {
  const means: number[] = [];
  const deviations: number[] = [];
  const size = 336 * 336;
  for (let channel = 0; channel < 3; channel++) {
    const plane = data.subarray((slot * 3 + channel) * size, (slot * 3 + channel + 1) * size);
    let sum = 0;
    for (let i = 0; i < size; i++) sum += plane[i]!;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (plane[i]! - sum / size) ** 2;
    means.push(sum / size);
    deviations.push(Math.sqrt(squares / size));
  }
  return { means, deviations };
}
