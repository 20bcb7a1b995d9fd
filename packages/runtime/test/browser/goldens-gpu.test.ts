import { createGpuBackend, type GpuBackend } from '@phiblocks/backend-gpu';
import type { GoldenCase } from '@phiblocks/testing';
import { fetchGolden, listSharedFolder, readSharedFile } from '@phiblocks/testing/browser';
import { afterAll, beforeAll, describe, it } from 'vitest';
import {
  type InnerValue,
  phi3InnerValues,
  phi3SmallInnerValues,
  phiMoeInnerValues,
  testLanguageRuns,
} from '../golden-cases.ts';
import { testVisionRuns } from '../golden-vision-case.ts';
import { openSharedModel } from './open-shared-model.ts';

// Every golden of the models, in a browser, on WebGL2 and on WebGPU.

const innerValuesOf = new Map<string, Readonly<Record<string, InnerValue>>>([
  ['phi3', phi3InnerValues],
  ['phi3small', phi3SmallInnerValues],
  ['phimoe', phiMoeInnerValues],
]);

const visionCases: GoldenCase[] = [];
const folders = await listSharedFolder('goldens');
const cases: { golden: GoldenCase; innerValues: Readonly<Record<string, InnerValue>> }[] = [];
for (const folder of folders) {
  const innerValues = innerValuesOf.get(folder.split('-')[0]!);
  if (innerValues) cases.push({ golden: await fetchGolden(folder), innerValues });
  if (folder.startsWith('phi3v-')) visionCases.push(await fetchGolden(folder));
}

describe.skipIf(cases.length === 0).each(['webgl2', 'webgpu'] as const)('golden cases on %s', (mode) => {
  // One backend for all cases: its kernels are compiled once.
  let backend: GpuBackend;
  beforeAll(async () => {
    backend = await createGpuBackend({ mode });
  });
  afterAll(() => backend?.dispose());

  for (const { golden, innerValues } of cases) {
    describe(golden.name, () => {
      // Four times the tolerance: sums in float32, and exponentials that a GPU may compute to a few units in the last place.
      testLanguageRuns(golden, innerValues, 4, () => openSharedModel(golden.path, backend), ['uneven chunks']);
    });
  }
  for (const golden of visionCases) {
    describe(golden.name, () => {
      const files = (golden.description.images as { file: string }[]).map(({ file }) => `${golden.path}/${file}`);
      const imageFiles = () => Promise.all(files.map(async (file) => new Blob([(await readSharedFile(file))!])));
      testVisionRuns(golden, 4, { load: () => openSharedModel(golden.path, backend), imageFiles }, ['the full prompt']);
    });
  }
  it('there are cases', ({ expect }) => expect(cases.length).toBeGreaterThanOrEqual(16));
});
