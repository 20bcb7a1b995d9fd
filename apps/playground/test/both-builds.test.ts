import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { collect } from '@phiblocks/runtime';
import { loadModel } from '@phiblocks/runtime/node';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chat,
  describeInBrowser,
  loadNanoMini,
  loadStories,
  nanoMini,
  stories,
  switchBackend,
  write,
} from './browser-page.ts';

// The page as Vite builds and minifies it, and as its development server gives it, do the same: kernels of gpu.js are read as
// source when the program runs, and must survive a minifier. Texts are those of Node, to the letter.

const backends = [
  ['WebAssembly', 'wasm'],
  ['WebGL2 (gpu.js)', 'webgl2'],
  ['WebGPU (gpu.js)', 'webgpu'],
] as const;

describeInBrowser('PF-15 built and from the development server', ({ open }) => {
  let development: ViteDevServer;
  beforeAll(async () => {
    development = await createServer({
      root: fileURLToPath(new URL('..', import.meta.url)),
      logLevel: 'error',
      server: { host: '127.0.0.1', port: 0 },
    });
    await development.listen();
  }, 120_000);
  afterAll(() => development?.close());

  describe.each(['built', 'development'])('%s', (which) => {
    const openPage = () => open(which === 'built' ? {} : { at: development.resolvedUrls!.local[0]! });

    it.runIf(existsSync(nanoMini))('nano-mini answers on every backend as in Node', { timeout: 600_000 }, async () => {
      const question = 'What is 69 + 88?';
      const model = await loadModel(nanoMini, { backend: 'reference' });
      const messages = [{ role: 'user' as const, content: question }];
      const expected = (await collect(model.generate({ messages, maxNewTokens: 128 }))).text;
      await model.dispose();

      const page = await openPage();
      await loadNanoMini(page);
      for (const [label, name] of backends) {
        await switchBackend(page, label, name);
        expect(await chat(page, question), name).toBe(expected);
        console.log(`${which}, ${name}: ${await page.locator('#speed').textContent()}`);
      }
    });

    describeWithShared('the trained model', stories, () => {
      it('writes its published text on every backend', { timeout: 900_000 }, async () => {
        const published = JSON.parse(readFileSync(sharedPath(stories, 'case.json'), 'utf8'));
        const page = await openPage();
        await loadStories(page);
        for (const [label, name] of backends) {
          await switchBackend(page, label, name);
          const text = await write(page, '', published.cases[0].greedy_ids.length);
          expect(text, name).toBe(published.published_greedy_text_from_bos);
          console.log(`${which}, ${name}: ${await page.locator('#speed').textContent()}`);
        }
      });
    });
  });
});
