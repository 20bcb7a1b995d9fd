import type { ServerResponse } from 'node:http';
import {
  corsHeaders,
  describeWithShared,
  heldFile,
  type RangeServer,
  refuse,
  startRangeServer,
} from '@phiblocks/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeInBrowser, expectLoaded, loadStories, readStories, stories, write } from './browser-page.ts';

// Models by address, from a server of another origin that does what servers do.

const webPage = '<!doctype html><title>Not here</title>';

describeWithShared('the trained model', stories, () => {
  describeInBrowser('models by address', ({ open }) => {
    let server: RangeServer;
    beforeAll(async () => {
      const files = new Map(readStories().map(({ name, bytes }) => [name, bytes]));
      /** The weights are answered in a special way, everything else well. */
      const faults: Record<string, (response: ServerResponse, weights: Uint8Array) => undefined> = {
        'weights-missing': (response) => refuse(response, 404, webPage),
        'weights-gone-private': (response) => refuse(response, 403),
        'weights-a-web-page': (response) => refuse(response, 200, webPage),
        'weights-a-pointer': (response) =>
          refuse(response, 200, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
        'weights-without-ranges': (response) => {
          response.writeHead(200, corsHeaders);
          // More than is held of a server without ranges.
          for (let i = 0; i < 20; i++) response.write(new Uint8Array(2 ** 20));
          response.end();
        },
        'weights-of-unknown-size': (response, weights) => {
          response.writeHead(206, {
            'Access-Control-Allow-Origin': '*',
            'Content-Range': `bytes 0-127/${weights.length}`,
          });
          response.end(weights.subarray(0, 128));
        },
        'weights-cut-off': (response, weights) => {
          response.writeHead(206, {
            ...corsHeaders,
            'Content-Range': `bytes 0-127/${weights.length}`,
            'Content-Length': 128,
          });
          response.write(weights.subarray(0, 50));
          setTimeout(() => response.destroy(), 20);
        },
      };
      server = await startRangeServer((path, response) => {
        const [folder = '', name = ''] = path.split('/');
        if (folder === 'nothing') return refuse(response, 404, webPage);
        if (folder === 'everything-a-web-page') return refuse(response, 200, webPage);
        if (folder === 'down') return refuse(response, 503);
        if (folder === 'for-nobody-else') {
          response.writeHead(200).end('{}');
          return undefined;
        }
        const bytes = files.get(name);
        if (!bytes) return refuse(response, 404, webPage);
        if (folder === 'good' || name !== 'model.safetensors') return heldFile(bytes);
        return faults[folder]!(response, bytes);
      });
    });
    afterAll(() => server?.close());

    it('loads a folder from another origin, and writes what the same files write when they are dropped', async () => {
      const page = await open();
      await loadStories(page);
      const dropped = await write(page, 'Once upon a time', 12);
      await page.getByLabel(/^Address of/).fill(`${server.address}good`);
      await page.getByRole('button', { name: 'Load', exact: true }).click();
      await expectLoaded(page);
      expect(await write(page, 'Once upon a time', 12)).toBe(dropped);
      // The largest answer is the largest tensor, not the file.
      const file = readStories().find(({ name }) => name === 'model.safetensors')!;
      expect(Math.max(...server.answered)).toBeLessThan(file.bytes.length / 2);
    });

    it('says what is wrong with an address, and goes on', async () => {
      const page = await open();
      const error = page.locator('#load-error');
      const cases: [address: string, expected: RegExp][] = [
        ['nothing', /CHECKPOINT_FILE_MISSING.*config\.json/],
        ['nothing/model.gguf', /FILE_NOT_FOUND.*404/],
        ['everything-a-web-page', /FILE_IS_HTML/],
        ['everything-a-web-page/model.gguf', /FILE_IS_HTML/],
        ['down', /HTTP_STATUS.*503/],
        ['for-nobody-else', /HTTP_FAILED.*CORS/],
        ['weights-missing', /CHECKPOINT_FILE_MISSING.*model\.safetensors/],
        ['weights-gone-private', /HTTP_STATUS.*403/],
        ['weights-a-web-page', /FILE_IS_HTML/],
        ['weights-a-pointer', /FILE_IS_LFS_POINTER/],
        ['weights-without-ranges', /HTTP_NO_RANGES/],
        ['weights-of-unknown-size', /HTTP_SIZE_UNKNOWN.*Access-Control-Expose-Headers/],
        ['weights-cut-off', /HTTP_FAILED/],
      ];
      for (const [path, expected] of cases) {
        await page.getByLabel(/^Address of/).fill(server.address + path);
        await page.getByRole('button', { name: 'Load', exact: true }).click();
        await page.locator('#load-error:visible, #model-facts:visible').first().waitFor();
        expect(await error.textContent(), path).toMatch(expected);
        // A sentence for people stands before the code.
        expect(await error.locator('strong').textContent(), path).toMatch(/^[A-Z].*\.$/);
      }
      await page.getByLabel(/^Address of/).fill(`${server.address}good/`);
      await page.getByRole('button', { name: 'Load', exact: true }).click();
      await expectLoaded(page);
      expect(await error.isHidden()).toBe(true);
    });
  });
});
