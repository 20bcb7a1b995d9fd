import { createGpuBackend, type GpuBackend } from '@phiblocks/backend-gpu';
import { readSharedFile } from '@phiblocks/testing/browser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect } from '../../src/index.ts';
import { openSharedModel } from './open-shared-model.ts';
import { watchDevice } from './watch-device.ts';

const folder = 'models/stories260k-phi3';
const caseBytes = await readSharedFile(`${folder}/case.json`);
const description = caseBytes && JSON.parse(new TextDecoder().decode(caseBytes));

describe.skipIf(!description).each(['webgl2', 'webgpu'] as const)(
  'the trained model stories260k-phi3 on %s',
  (mode) => {
    let backend: GpuBackend;
    beforeAll(async () => {
      backend = await createGpuBackend({ mode });
    });
    afterAll(() => backend?.dispose());

    it('greedy from <s> is the published text, to the letter', async () => {
      await using model = await openSharedModel(folder, backend);
      const maxNewTokens = description.cases[0].greedy_ids.length;
      const { text } = await collect(model.generate({ prompt: '', maxNewTokens }));
      expect(text).toBe(description.published_greedy_text_from_bos);
    });

    it('a token takes one read-back and brings neither weights nor cache to the device', async () => {
      await using model = await openSharedModel(folder, backend);
      const loaded = backend.counters();
      const session = model.createSession();
      // Kernels are built, and the prompt is read.
      let logits = await session.advance([1, 403, 407]);
      const before = backend.counters();
      const { traffic, stop } = watchDevice();
      const tokens = 20;
      try {
        for (let i = 0; i < tokens; i++)
          logits = await session.advance([logits.data.indexOf(Math.max(...logits.data))]);
      } finally {
        stop();
      }
      const after = backend.counters();
      session.dispose();

      expect(traffic.readBacks).toBe(tokens);
      expect(after.readBacks - before.readBacks).toBe(tokens);
      // A token id, a row of cosines and one of sines, and the scalar arguments of each kernel.
      expect(after.uploads - before.uploads).toBe(3 * tokens);
      expect(Math.max(...traffic.uploadedSizes)).toBeLessThanOrEqual(256);
      expect(loaded.uploadedBytes).toBeGreaterThan(1_000_000);
      const launches = (after.launches - before.launches) / tokens;
      console.log(
        `${mode}, ${model.config.numHiddenLayers} layers: per token ${launches} kernel launches, 1 read-back, ` +
          `${(after.uploadedBytes - before.uploadedBytes) / tokens} bytes of input`,
      );
      // 23 per layer and 6 around them: see the README of the backend.
      expect(launches).toBeLessThanOrEqual(23 * model.config.numHiddenLayers + 6);
    });

    it('loading and disposing ten times leaves nothing on the device', async () => {
      const before = { handles: backend.liveHandles() };
      let held: number | undefined;
      for (let round = 0; round < 10; round++) {
        const model = await openSharedModel(folder, backend);
        await collect(model.generate({ promptIds: [1], maxNewTokens: 2 }));
        await model.dispose();
        // A read waits for what was given back before it.
        const step = backend.beginStep();
        await backend.read(step.upload({ data: new Float32Array(1), shape: [1] }));
        step.end();
        expect(backend.liveHandles()).toBe(before.handles);
        held ??= backend.counters().heldBytes;
        expect(backend.counters().heldBytes).toBe(held);
      }
    });
  },
);
