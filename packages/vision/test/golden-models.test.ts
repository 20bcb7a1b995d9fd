import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FloatTensor } from '@phiblocks/tensor';
import { describeWithShared, expectClose, type GoldenTensor, loadGolden } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import {
  type ClipConfig,
  clipEncode,
  embedImage,
  hdTransform,
  locateImages,
  placeImages,
  preprocessImage,
  type RgbImage,
  resizeBicubicGlobal,
  resizeBilinear,
} from '../src/index.ts';
import { decodeImage } from './support/decode-image.ts';
import { readImageWeights } from './support/read-image-weights.ts';

interface GoldenImage {
  file: string;
  hd_file: string;
  hd_height: number;
  hd_width: number;
  tokens: number;
}

const stated = 'the tolerance that the golden case states, 25 times float32 against float64';

function expectGolden(actual: ArrayLike<number>, golden: GoldenTensor): void {
  expectClose(actual, golden.data, { absolute: golden.tolerance, reason: stated }, golden.name);
}

function expectSameImage(actual: RgbImage, expected: RgbImage): void {
  expect([actual.width, actual.height]).toEqual([expected.width, expected.height]);
  expectClose(actual.data, expected.data, { reason: 'bytes are exact' }, 'picture');
}

// The published model and picture code with small random weights; every case is described in its case.json.
const cases = ['phi3v-square-a', 'phi3v-wide-a', 'phi3v-tall-a', 'phi3v-two-images-a'];

describe.each(cases)('%s', (name) => {
  describeWithShared('golden', `goldens/${name}`, () => {
    const golden = loadGolden(name);
    const images = golden.description.images as GoldenImage[];
    const numCrops = golden.description.num_crops as number;
    const prompt = golden.description.prompt as { text_chunks: number[][] };
    const { clip_config } = golden.config!.img_processor as { clip_config: Record<string, number> };
    const config: ClipConfig = {
      hiddenSize: clip_config.hidden_size!,
      intermediateSize: clip_config.intermediate_size!,
      numHiddenLayers: clip_config.num_hidden_layers!,
      numAttentionHeads: clip_config.num_attention_heads!,
      imageSize: clip_config.image_size!,
      patchSize: clip_config.patch_size!,
      layerNormEps: clip_config.layer_norm_eps!,
    };
    const weights = readImageWeights(join(golden.path, 'model.safetensors'), config);
    const picture = (file: string) => decodeImage(readFileSync(join(golden.path, file)));
    const preprocessed = images.map(({ file }) => preprocessImage(picture(file), { numCrops }));

    it('pictures after resizing and padding, every byte', () => {
      for (const { file, hd_file } of images) {
        expectSameImage(hdTransform(picture(file), { numCrops }), picture(hd_file));
      }
    });

    it('pixel values, sizes and token counts', () => {
      expectGolden(
        preprocessed.flatMap(({ pixelValues }) => sample(pixelValues)),
        golden.tensor('pixel_values_sample'),
      );
      expectGolden(
        preprocessed.flatMap(({ pixelValues }) => planeMeans(pixelValues)),
        golden.tensor('pixel_values_mean'),
      );
      expectGolden(
        preprocessed.flatMap(({ imageSize }) => [imageSize.height, imageSize.width]),
        golden.tensor('image_sizes'),
      );
      expectGolden(
        preprocessed.map(({ numImageTokens }) => numImageTokens),
        golden.tensor('num_img_tokens'),
      );
    });

    it('prompt ids', () => {
      const counts = preprocessed.map(({ numImageTokens }) => numImageTokens);
      const ids = placeImages(prompt.text_chunks, counts);
      expect(ids).toEqual(golden.tensor('input_ids').data);
      let start = 0;
      const starts = counts.map((count, index) => {
        start += prompt.text_chunks[index]!.length;
        start += count;
        return start - count;
      });
      expect(locateImages(ids, counts)).toEqual(starts);
    });

    it('tower: embeddings and every layer of the global view', () => {
      const seen = new Map<string, FloatTensor>();
      const { data } = preprocessed[0]!.pixelValues;
      const globalView = { data: data.subarray(0, 3 * 336 * 336), shape: [3, 336, 336] };
      clipEncode(globalView, weights.clip, config, { onTensor: (step, tensor) => seen.set(step, tensor) });
      expectGolden(everyNthRow(seen.get('embeddings')!, 24), golden.tensor('vision_global_embeddings'));
      // The golden holds one entry more: the last layer, which nothing reads and which is not run here.
      const layers = golden.tensor('vision_global_layers');
      expect(layers.shape[0]).toBe(config.numHiddenLayers + 1);
      const run = Array.from({ length: config.numHiddenLayers }, (_, index) =>
        everyNthRow(seen.get(`hiddenStates.${index}`)!, 24),
      ).flat();
      expect(seen.size).toBe(config.numHiddenLayers + 1);
      expectGolden(run, { ...layers, data: layers.data.slice(0, run.length) });
    });

    it('features, order of pieces and separators, projected embeddings', () => {
      const projected: number[] = [];
      const rowSums: number[] = [];
      for (const [index, image] of preprocessed.entries()) {
        const features = golden.tensor(`vision_features_${index + 1}`);
        const every = 576 / features.shape[1]!;
        const embedded = embedImage(image, weights, config, {
          onTensor(step, tensor) {
            // A crop has 576 patches, a multiple of `every`, so rows can be counted through all crops.
            if (step === 'features') {
              const [crops, patches, width] = tensor.shape as [number, number, number];
              const rows = { data: tensor.data, shape: [crops * patches, width] };
              expectGolden(everyNthRow(rows, every), features);
            } else rowSums.push(...sumsOfRows(tensor));
          },
        });
        expect(embedded.shape).toEqual([images[index]!.tokens, golden.config!.hidden_size]);
        projected.push(...embedded.data);
      }
      expectGolden(rowSums, golden.tensor('projector_input_row_sums'));
      const stored = golden.tensor('image_embeddings');
      const hiddenSize = stored.shape[1]!;
      const numTokens = projected.length / hiddenSize;
      const every = Math.ceil(numTokens / stored.shape[0]!);
      const all = { data: Float32Array.from(projected), shape: [numTokens, hiddenSize] };
      expectGolden(everyNthRow(all, every), stored);
    });
  });
});

describeWithShared('block-image-a', 'goldens/block-image-a', () => {
  const golden = loadGolden('block-image-a');

  it.each(['resize_down', 'resize_up', 'resize_mixed'])('%s: every byte', (name) => {
    const input = golden.tensor(`${name}/input`);
    const output = golden.tensor(`${name}/output`);
    const image = { width: input.shape[1]!, height: input.shape[0]!, data: input.data as Uint8Array };
    expect(resizeBilinear(image, output.shape[1]!, output.shape[0]!).data).toEqual(output.data);
  });

  it.each(['bicubic_down', 'bicubic_up', 'bicubic_same'])('%s', (name) => {
    const input = golden.tensor(`${name}/input`);
    const output = golden.tensor(`${name}/output`);
    const [, height, width] = output.shape as [number, number, number];
    const resized = resizeBicubicGlobal({ data: input.data as Float32Array, shape: input.shape }, height, width);
    expect(resized.shape).toEqual(output.shape);
    expectGolden(resized.data, output);
  });

  it.each([1, 2])('picture %i', (number) => {
    const described = (golden.description.pictures as (GoldenImage & { num_crops: number })[])[number - 1]!;
    const image = decodeImage(readFileSync(join(golden.path, described.file)));
    const { pixelValues } = preprocessImage(image, { numCrops: described.num_crops });
    expectSameImage(
      hdTransform(image, { numCrops: described.num_crops }),
      decodeImage(readFileSync(join(golden.path, described.hd_file))),
    );
    expectGolden(sample(pixelValues), golden.tensor(`picture${number}/pixel_values_sample`));
    expectGolden(planeMeans(pixelValues), golden.tensor(`picture${number}/pixel_values_mean`));
  });
});

/** `[:, :, 3::16, 5::16]` of `[views, 3, 336, 336]`. */
function sample({ data, shape }: FloatTensor): number[] {
  const picked: number[] = [];
  for (let plane = 0; plane < shape[0]! * 3; plane++) {
    for (let y = 3; y < 336; y += 16) {
      for (let x = 5; x < 336; x += 16) picked.push(data[(plane * 336 + y) * 336 + x]!);
    }
  }
  return picked;
}

function planeMeans({ data, shape }: FloatTensor): number[] {
  return Array.from({ length: shape[0]! * 3 }, (_, plane) => {
    let sum = 0;
    for (let i = plane * 336 * 336; i < (plane + 1) * 336 * 336; i++) sum += data[i]!;
    return sum / (336 * 336);
  });
}

function everyNthRow({ data, shape }: FloatTensor, step: number): number[] {
  const [numRows, width] = shape as readonly [number, number];
  const picked: number[] = [];
  for (let row = 0; row < numRows; row += step) picked.push(...data.subarray(row * width, (row + 1) * width));
  return picked;
}

function sumsOfRows({ data, shape }: FloatTensor): number[] {
  const [numRows, width] = shape as readonly [number, number];
  return Array.from({ length: numRows }, (_, row) =>
    data.subarray(row * width, (row + 1) * width).reduce((sum, value) => sum + value, 0),
  );
}
