import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeWithShared, loadGolden, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { loadGoldenModel } from './golden-runs.ts';
import { testVisionRuns } from './golden-vision-case.ts';

// Every published-layout case of Phi3VForCausalLM, from the picture files to the last greedy token.

describeWithShared('golden cases of Phi3VForCausalLM', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) => name.startsWith('phi3v-'));
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(4));
  for (const name of names) {
    const golden = loadGolden(name);
    const files = (golden.description.images as { file: string }[]).map(({ file }) => join(golden.path, file));
    const imageFiles = () => Promise.all(files.map(async (file) => new Blob([await readFile(file)])));
    describe(name, () => testVisionRuns(golden, 1, { load: () => loadGoldenModel(golden.path), imageFiles }));
  }
});
