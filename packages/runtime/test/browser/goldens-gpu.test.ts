import { createGpuBackend, type GpuBackend } from '@phiblocks/backend-gpu';
import type { GoldenCase } from '@phiblocks/testing';
import { fetchGolden, listSharedFolder } from '@phiblocks/testing/browser';
import { afterAll, beforeAll, describe, it } from 'vitest';
import {
  type InnerValue,
  phi3InnerValues,
  phi3SmallInnerValues,
  phiMoeInnerValues,
  testLanguageRuns,
} from '../golden-cases.ts';
import { openSharedModel } from './open-shared-model.ts';

// Every golden of the models of text, in a browser, on WebGL2 and on WebGPU.

const innerValuesOf = new Map<string, Readonly<Record<string, InnerValue>>>([
  ['phi3', phi3InnerValues],
  ['phi3small', phi3SmallInnerValues],
  ['phimoe', phiMoeInnerValues],
]);

const folders = await listSharedFolder('goldens');
const cases: { golden: GoldenCase; innerValues: Readonly<Record<string, InnerValue>> }[] = [];
for (const folder of folders) {
  const innerValues = innerValuesOf.get(folder.split('-')[0]!);
  if (innerValues) cases.push({ golden: await fetchGolden(folder), innerValues });
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
  it('there are cases', ({ expect }) => expect(cases.length).toBeGreaterThanOrEqual(16));
});
