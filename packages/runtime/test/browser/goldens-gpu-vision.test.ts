import { createGpuBackend, type GpuBackend } from '@phiblocks/backend-gpu';
import type { GoldenCase } from '@phiblocks/testing';
import { fetchGolden, listSharedFolder, readSharedFile } from '@phiblocks/testing/browser';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { testVisionRuns } from '../golden-vision-case.ts';
import { openSharedModel } from './open-shared-model.ts';

// The goldens of Phi3VForCausalLM, in a browser, on WebGL2 and on WebGPU: pictures of a few hundred tokens, which a software
// adapter takes its time for.

const cases: GoldenCase[] = [];
for (const folder of await listSharedFolder('goldens')) {
  if (folder.startsWith('phi3v-')) cases.push(await fetchGolden(folder));
}

describe.skipIf(cases.length === 0).each(['webgl2', 'webgpu'] as const)(
  'vision goldens on %s',
  { timeout: 900_000 },
  (mode) => {
    let backend: GpuBackend;
    beforeAll(async () => {
      backend = await createGpuBackend({ mode });
    });
    afterAll(() => backend?.dispose());

    for (const golden of cases) {
      describe(golden.name, () => {
        const files = (golden.description.images as { file: string }[]).map(({ file }) => `${golden.path}/${file}`);
        const imageFiles = () => Promise.all(files.map(async (file) => new Blob([(await readSharedFile(file))!])));
        // Four times the tolerance, as for text.
        testVisionRuns(golden, 4, { load: () => openSharedModel(golden.path, backend), imageFiles }, [
          'the full prompt',
        ]);
      });
    }
    it('there are cases', ({ expect }) => expect(cases.length).toBeGreaterThanOrEqual(4));
  },
);
