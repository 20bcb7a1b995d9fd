import type { FloatTensor } from '@phiblocks/tensor';
import { argmax, expectClose, type GoldenCase } from '@phiblocks/testing';
import type { RgbImage } from '@phiblocks/vision';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LanguageModel, Session } from '../src/index.ts';
import { createRecorder, ways } from './golden-cases.ts';

// Nothing here reads a file, so that the same tests run in a browser.

/** Every nth row, as goldens keep large tensors. */
function everyNthRow(rows: ArrayLike<number>, width: number, step: number): number[] {
  const out: number[] = [];
  for (let row = 0; row * width < rows.length; row += step) {
    for (let i = 0; i < width; i++) out.push(rows[row * width + i]!);
  }
  return out;
}

/** How a vision case is read where the tests run. */
export interface VisionCaseFiles {
  readonly load: () => Promise<LanguageModel & AsyncDisposable>;
  /** The pictures of the case, in order, as files. */
  readonly imageFiles: () => Promise<Blob[]>;
}

/**
 * The tests of one vision case, from the picture files to the last greedy token.
 *
 * @param waysOfFeeding - names of {@link ways}; where not all of them are tested, greedy tokens through `generate` are not either
 */
export function testVisionRuns(
  golden: GoldenCase,
  toleranceFactor: number,
  { load, imageFiles }: VisionCaseFiles,
  waysOfFeeding: readonly string[] = Object.keys(ways),
): void {
  const reason = `${toleranceFactor} times the tolerance of case.json`;
  const expectTensor = (name: string, actual: ArrayLike<number>): void => {
    const { data, tolerance } = golden.tensor(name);
    expectClose(actual, data, { absolute: toleranceFactor * tolerance, reason }, name);
  };
  const readImages = async (): Promise<RgbImage[]> =>
    Promise.all((await imageFiles()).map((file) => model.readImage(file)));
  const ids = golden.tensor('input_ids').data;
  const positions = golden.tensor('positions').data;
  const atPositions = (rows: readonly number[]): number[] => {
    const width = rows.length / ids.length;
    return [...positions].flatMap((position) => rows.slice(position * width, (position + 1) * width));
  };

  // One session for all tests of a case: emptied, it still has the rows of the images, which take the most time by far.
  let model: LanguageModel;
  let session: Session;
  beforeAll(async () => {
    model = await load();
    session = model.createSession({ prefillChunkSize: 4096 });
  });
  afterAll(() => model.dispose());

  it('token counts, tower, projector input and image embeddings', async () => {
    const images = await readImages();
    const counts = images.map((image) => model.numImageTokens(image));
    expect(counts).toEqual([...golden.tensor('num_img_tokens').data]);

    const embeddings: number[] = [];
    const rowSums: number[] = [];
    for (const [index, image] of images.entries()) {
      const seen = new Map<string, FloatTensor>();
      const encoded = await model.network.images!.encode(image, {
        onTensor: async (name, handle) => void seen.set(name, await model.network.backend.read(handle)),
      });
      expect(encoded.shape).toEqual([counts[index], model.config.hiddenSize]);
      expect(seen.get('imageEmbeddings')).toEqual(encoded);
      for (const value of encoded.data) embeddings.push(value);
      const input = seen.get('projectorInput')!;
      const width = input.shape[1]!;
      for (let row = 0; row < input.shape[0]!; row++) {
        rowSums.push(input.data.subarray(row * width, (row + 1) * width).reduce((sum, value) => sum + value, 0));
      }

      // The last hidden state of each crop, without the class token, is the feature.
      const towerWidth = width / 4;
      const features = golden.tensor(`vision_features_${index + 1}`);
      const [numCrops, rowsPerCrop] = features.shape as [number, number];
      const numLayers = [...seen.keys()].filter((name) => name.startsWith('crops.0.hidden.')).length;
      const kept: number[] = [];
      for (let crop = 0; crop < numCrops; crop++) {
        const hidden = seen.get(`crops.${crop}.hidden.${numLayers - 1}`)!.data.subarray(towerWidth);
        kept.push(...everyNthRow(hidden, towerWidth, 576 / rowsPerCrop));
      }
      expect(seen.has(`crops.${numCrops}.embeddings`)).toBe(false);
      expectTensor(features.name, kept);

      if (index > 0) continue;
      expectTensor('vision_global_embeddings', everyNthRow(seen.get('crops.0.embeddings')!.data, towerWidth, 24));
      // The golden holds one entry more: the last layer, which nothing reads and which is not run here.
      const layers = golden.tensor('vision_global_layers');
      expect(layers.shape[0]).toBe(numLayers + 1);
      const run = Array.from({ length: numLayers }, (_, layer) =>
        everyNthRow(seen.get(`crops.0.hidden.${layer}`)!.data, towerWidth, 24),
      ).flat();
      const absolute = toleranceFactor * layers.tolerance;
      expectClose(run, layers.data.slice(0, run.length), { absolute, reason }, layers.name);
    }
    expectTensor('projector_input_row_sums', rowSums);
    const { shape } = golden.tensor('image_embeddings');
    const { hiddenSize } = model.config;
    const step = Math.ceil(embeddings.length / hiddenSize / shape[0]!);
    expectTensor('image_embeddings', everyNthRow(embeddings, hiddenSize, step));
  });

  for (const way of waysOfFeeding) {
    const sizesOf = ways[way]!;
    it(`logits and hidden states, ${way}`, async () => {
      const recorder = createRecorder(model);
      const wanted = (name: string): boolean => name.startsWith('hidden.') || name === 'finalNorm';
      const images = await readImages();
      session.truncate(0);
      const logits: number[] = [];
      let start = 0;
      for (const size of sizesOf(ids.length)) {
        const { data } = await session.advance(ids.slice(start, start + size), {
          images: start === 0 ? images : undefined,
          logits: 'all',
          sequenceLength: ids.length,
          onTensor: async (name, handle) => {
            if (wanted(name)) await recorder.onTensor(name, handle);
          },
        });
        for (const value of data) logits.push(value);
        start += size;
      }
      expectTensor('logits', atPositions(logits));
      const layers = golden.tensor('hidden_states').shape[0]!;
      const hidden = Array.from({ length: layers }, (_, layer) => atPositions(recorder.rows.get(`hidden.${layer}`)!));
      expectTensor('hidden_states', hidden.flat());
      expectTensor('final_norm', atPositions(recorder.rows.get('finalNorm')!));
    });
  }

  it('16 greedy tokens and the logits that chose them', async () => {
    const expected = [...golden.tensor('greedy_ids').data];
    session.truncate(0);
    let logits = await session.advance(ids, { images: await readImages() });
    const chosen: number[] = [];
    const rows: number[] = [];
    while (chosen.length < expected.length) {
      for (const value of logits.data) rows.push(value);
      chosen.push(argmax(logits.data));
      if (chosen.length < expected.length) logits = await session.advance([chosen.at(-1)!]);
    }
    expect(chosen).toEqual(expected);
    expectTensor('greedy_logits', rows);
  });

  if (waysOfFeeding.length < Object.keys(ways).length) return;
  it('the same tokens through generate, from image files', async () => {
    session.truncate(0);
    const expected = [...golden.tensor('greedy_ids').data];
    const images = await imageFiles();
    expect(await greedyIds(session, { promptIds: ids, images, maxNewTokens: expected.length })).toEqual(expected);
  });
}

async function greedyIds(session: Session, options: Parameters<Session['generate']>[0]): Promise<readonly number[]> {
  const chosen: number[] = [];
  for await (const item of session.generate({ ...options, ignoreEos: true })) {
    if (item.type === 'token') chosen.push(item.id);
  }
  return chosen;
}
