import { createGpuBackend } from '@phiblocks/backend-gpu';
import { readSharedFile } from '@phiblocks/testing/browser';
import { describe, expect, it } from 'vitest';
import { collect, type GeneratedToken } from '../../src/index.ts';
import { catchDevices } from './catch-device.ts';
import { openSharedModel } from './open-shared-model.ts';

const folder = 'models/stories260k-phi3';
const isThere = (await readSharedFile(`${folder}/config.json`)) !== undefined;
const prompt = 'Once upon a time';
const maxNewTokens = 24;

describe.skipIf(!isThere).each([
  ['PF-08', 'webgl2'],
  ['PF-10', 'webgpu'],
] as const)('%s a device of %s lost in mid-generation', (_, mode) => {
  it('is a typed error, and the session goes on where it was, on a new device', async () => {
    const devices = catchDevices(mode);
    try {
      const backend = await createGpuBackend({ mode });
      const model = await openSharedModel(folder, backend);
      const undisturbed = await collect(model.generate({ prompt, maxNewTokens }));

      const session = model.createSession();
      const written: GeneratedToken[] = [];
      const generation = session.generate({ prompt, maxNewTokens });
      const failure = await (async () => {
        try {
          for await (const item of generation) {
            if (item.type === 'token') written.push(item);
            if (written.length === 9) devices.lose();
          }
        } catch (error) {
          return error;
        }
      })();
      expect(failure).toMatchObject({ code: 'GPU_DEVICE_LOST' });
      expect(written.length).toBeLessThan(maxNewTokens);
      await expect(session.advance([1])).rejects.toMatchObject({ code: 'GPU_DEVICE_LOST' });

      // Its tokens are known; what is lost is computed again, on another device or another backend.
      const saved = await session.save({ contents: 'ids' });
      session.dispose();
      await model.dispose();
      await backend.dispose();
      const nextBackend = await createGpuBackend({ mode });
      const next = await openSharedModel(folder, nextBackend);
      const restored = await next.restoreSession(saved);
      const promptIds = [...next.encodePrompt(prompt), ...written.map(({ id }) => id)];
      const rest = await collect(restored.generate({ promptIds, maxNewTokens: maxNewTokens - written.length }));
      expect(rest.usage.cachedPromptTokens).toBeGreaterThan(4);
      expect([...written.map(({ id }) => id), ...rest.ids]).toEqual([...undisturbed.ids]);
      await next.dispose();
      await nextBackend.dispose();
    } finally {
      devices.stop();
    }
  });
});
