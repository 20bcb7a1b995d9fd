import { existsSync } from 'node:fs';
import type { Page } from 'playwright';
import { expect, it } from 'vitest';
import { chat, describeInBrowser, expectLoaded, loadNanoMini, nanoMini, switchBackend } from './browser-page.ts';

// A browser takes the graphics device away from a page when the driver fails, the card changes or another page wants it.

/** In the worker, before its own code: keeps what makes devices go away. gpu.js makes some of its own, to look at. */
const keepContexts = `
{
  const losses = [];
  globalThis.loseDevices = () => losses.splice(0).forEach((lose) => lose());
  const { getContext } = OffscreenCanvas.prototype;
  OffscreenCanvas.prototype.getContext = function (...args) {
    const context = getContext.apply(this, args);
    const extension = context?.getExtension?.('WEBGL_lose_context');
    if (extension) losses.push(() => extension.loseContext());
    return context;
  };
  if (globalThis.GPUAdapter) {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await requestDevice.apply(this, args);
      losses.push(() => device.destroy());
      return device;
    };
  }
}
`;

async function keepDevices(page: Page): Promise<void> {
  await page.route(/phi3\.worker.*\.js/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: keepContexts + (await response.text()) });
  });
}

async function loseDevices(page: Page): Promise<void> {
  await page
    .workers()
    .at(-1)!
    .evaluate(() => Reflect.get(globalThis, 'loseDevices')());
}

describeInBrowser('a graphics device that is lost', ({ open }) => {
  it.runIf(existsSync(nanoMini)).each([
    ['PF-08', 'WebGL2 (gpu.js)', 'webgl2'],
    ['PF-10', 'WebGPU (gpu.js)', 'webgpu'],
  ])(
    '%s %s: in the middle of an answer is said, and the conversation goes on',
    { timeout: 400_000 },
    async (_, label, name) => {
      const page = await open({ prepare: keepDevices });
      await loadNanoMini(page);
      const question = 'What is 69 + 88?';
      const expected = await chat(page, question);
      await switchBackend(page, label, name);

      await page.getByLabel('Your message').fill(question);
      await page.getByRole('button', { name: 'Send' }).click();
      // Three tokens or more: a quick machine writes many between two looks.
      await page.getByText(/^(?:[3-9]|\d\d+) tokens, .* per second$/).waitFor({ timeout: 120_000 });
      await loseDevices(page);
      const error = page.locator('#generate-error');
      await error.filter({ hasText: 'GPU_DEVICE_LOST' }).waitFor();
      expect(await error.locator('strong').textContent()).toMatch(/loaded again/);
      const begun = await page.locator('.written').last().textContent();
      expect(expected.startsWith(begun!)).toBe(true);

      // The same backend works again, on a new device, without anybody doing anything; what was written still stands.
      await expectLoaded(page, 180_000);
      expect(await page.locator('#model-facts').textContent()).toContain(name);
      expect(await page.locator('.written').last().textContent()).toBe(begun);
      await page.getByRole('button', { name: 'Clear' }).click();
      expect(await chat(page, question)).toBe(expected);
    },
  );
});

describeInBrowser(
  'without an adapter for WebGPU',
  ({ open }) => {
    it('PF-09 WebGPU cannot be chosen, and the page says why', async () => {
      const page = await open();
      const choice = page.getByRole('radio', { name: 'WebGPU' });
      expect(await choice.isDisabled()).toBe(true);
      await page.getByText(/– not here: .*(adapter|WebGPU)/).waitFor();
      expect(await page.getByRole('radio', { name: 'WebGL2' }).isEnabled()).toBe(true);
    });
  },
  ['--enable-unsafe-swiftshader'],
);

describeInBrowser(
  'without graphics of any kind',
  ({ open }) => {
    it.runIf(existsSync(nanoMini))('PF-07 the backends that need none work, and the others say why not', async () => {
      const page = await open();
      for (const name of ['WebGL2', 'WebGPU']) {
        expect(await page.getByRole('radio', { name }).isDisabled()).toBe(true);
      }
      expect(await page.getByText('– not here:').count()).toBe(2);
      await loadNanoMini(page);
      expect(await chat(page, 'Add 13 and 70.')).toContain('83');
    });
  },
  ['--disable-gpu', '--disable-software-rasterizer', '--disable-3d-apis'],
);
