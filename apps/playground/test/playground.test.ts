import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { collect } from '@phiblocks/runtime';
import { loadModel } from '@phiblocks/runtime/node';
import { allowLoopback, describeWithShared, sharedPath } from '@phiblocks/testing';
import { type Browser, chromium, type Page } from 'playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, missingBrowser } from '../../../tools/browser-tests.mjs';
import { createStaticServer, type PolicyName } from '../server/serve.mjs';

// Drives the built page like a person, in Chromium, from a server with the headers that it is meant to have.
// SCREENSHOTS=folder keeps pictures of it.

allowLoopback();

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const reason = missingBrowser();
const isRequired = Boolean(process.env.REQUIRE_BROWSER);
const stories = 'models/stories260k-phi3';
const storyFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'model.safetensors',
];
const screenshots = process.env.SCREENSHOTS;

it.runIf(reason !== undefined)(`a browser is there, or what is missing is said: ${reason}`, (context) => {
  if (isRequired) throw new Error(reason);
  context.skip(reason);
});

describe.skipIf(reason !== undefined)('the playground', { timeout: 180_000 }, () => {
  let browser: Browser;
  const servers: Server[] = [];
  /** What pages wrote to their consoles as errors. */
  let complaints: string[] = [];

  beforeAll(async () => {
    if (!existsSync(join(dist, 'index.html'))) throw new Error('the page is not built: turbo run build');
    browser = await chromium.launch({
      executablePath: findChromium(),
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--enable-unsafe-swiftshader',
        '--enable-unsafe-webgpu',
        '--use-webgpu-adapter=swiftshader',
      ],
    });
  }, 120_000);
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    for (const server of servers.splice(0)) server.close();
  });
  afterAll(() => browser?.close());

  async function open(
    options: { isolation?: boolean; policy?: PolicyName } = {},
    look: { width?: number; height?: number; colorScheme?: 'light' | 'dark' } = {},
  ): Promise<Page> {
    const server = createStaticServer(dist, options);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { width = 1280, height = 900, colorScheme = 'light' } = look;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme });
    const page = await context.newPage();
    complaints = [];
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.getByRole('radio', { name: 'Reference' }).waitFor();
    return page;
  }

  /** Files as a person drops them, onto the drop area. */
  async function drop(page: Page, files: { name: string; bytes: Uint8Array }[]): Promise<void> {
    const sent = files.map(({ name, bytes }) => ({ name, base64: Buffer.from(bytes).toString('base64') }));
    const transfer = await page.evaluateHandle((list) => {
      const made = new DataTransfer();
      for (const { name, base64 } of list) {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        made.items.add(new File([bytes], name));
      }
      return made;
    }, sent);
    await page.dispatchEvent('#drop', 'drop', { dataTransfer: transfer });
  }

  const readStories = () =>
    storyFiles.map((name) => ({ name, bytes: new Uint8Array(readFileSync(sharedPath(stories, name))) }));

  /** Waits for a model to be loaded. Where the page says instead what went wrong, the test fails with its words. */
  async function expectLoaded(page: Page, timeout = 60_000): Promise<void> {
    await page.locator('#load-error:visible, #model-facts:visible').first().waitFor({ timeout });
    expect(await page.locator('#load-error').textContent()).toBe('');
    await page.getByText(/^Loaded: /).waitFor();
  }

  async function loadStories(page: Page): Promise<void> {
    await drop(page, readStories());
    await expectLoaded(page);
  }

  async function write(page: Page, text: string, tokens: number): Promise<string> {
    await page.getByLabel('Tokens').fill(String(tokens));
    await page.getByLabel('Text to continue').fill(text);
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await page.getByText(/per second, behind/).waitFor({ timeout: 300_000 });
    return (await page.locator('.written').last().textContent()) ?? '';
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (!screenshots) return;
    mkdirSync(screenshots, { recursive: true });
    await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
  }

  describeWithShared('with the trained model stories260k-phi3', stories, () => {
    it('loads dropped files, writes the published text, stops, switches the backend, shows what comes next', async () => {
      const page = await open();
      await loadStories(page);
      await expect(page.locator('#model-facts').textContent()).resolves.toContain('wasm');
      const published = JSON.parse(readFileSync(sharedPath(stories, 'case.json'), 'utf8'));
      const expected: string = published.published_greedy_text_from_bos;
      expect(expected.startsWith((await write(page, '', 40)).trimStart())).toBe(true);
      expect(await page.locator('#distribution tbody tr').count()).toBe(10);
      expect(await page.locator('#memory').textContent()).toMatch(/weights .* cache .* the backend holds/);
      await page.getByRole('slider').fill('1');
      await page.getByText('Step 1 of 40').waitFor();

      await page.getByRole('button', { name: 'Clear' }).click();
      await page.getByLabel('Tokens').fill('400');
      await page.getByLabel('Text to continue').fill('Once upon a time');
      await page.keyboard.press('Enter');
      await page.getByText(/\d+ tokens, .* per second$/).waitFor();
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.getByText(/: stopped\.$/).waitFor();

      const texts: string[] = [];
      for (const name of ['Reference', 'WebAssembly']) {
        await page.getByRole('radio', { name }).check();
        await page
          .locator('#model-facts')
          .getByText(new RegExp(name === 'Reference' ? 'reference' : 'wasm'))
          .waitFor();
        texts.push(await write(page, 'Once upon a time', 24));
      }
      expect(texts[0]).toBe(texts[1]);
      expect(complaints).toEqual([]);
      await picture(page, 'desktop-light');
    });

    // Software adapters compile and run kernels slowly, on a busy machine for minutes.
    it.each([
      ['WebGL2 (gpu.js)', 'webgl2'],
      ['WebGPU (gpu.js)', 'webgpu'],
    ])('writes the same on %s under the strict policy', { timeout: 400_000 }, async (name, mode) => {
      const page = await open();
      await loadStories(page);
      const onWasm = await write(page, 'Once upon a time', 4);
      await page.getByRole('radio', { name }).check();
      await expectLoaded(page, 180_000);
      await expect(page.locator('#model-facts').textContent()).resolves.toContain(mode);
      expect(await write(page, 'Once upon a time', 4)).toBe(onWasm);
    });

    it('is usable on a phone, dark, without threads', async () => {
      const page = await open({ isolation: false }, { width: 390, height: 844, colorScheme: 'dark' });
      await loadStories(page);
      await write(page, 'Lily and Tom went to', 30);
      await expect(page.locator('#environment').textContent()).resolves.toContain('one thread');
      // Nothing sticks out to the right.
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
      await picture(page, 'phone-dark');
      expect(complaints).toEqual([]);
    });

    it("under script-src 'self' alone the reference backend works, and WebAssembly says what forbids it", async () => {
      const page = await open({ policy: 'no-wasm' });
      expect(await page.getByRole('radio', { name: 'Reference' }).isChecked()).toBe(true);
      expect(await page.getByRole('radio', { name: 'WebAssembly' }).isDisabled()).toBe(true);
      await page.getByText("it lacks 'wasm-unsafe-eval'").waitFor();
      await loadStories(page);
      expect((await write(page, 'Once upon a time', 5)).length).toBeGreaterThan(0);
    });

    it('says in words what is wrong with broken files, and goes on', async () => {
      const page = await open({}, { colorScheme: 'dark' });
      const error = page.locator('#load-error');
      const text = (value: string) => new TextEncoder().encode(value);
      const good = readStories();
      const cases: [{ name: string; bytes: Uint8Array }[], RegExp][] = [
        [[{ name: 'model.gguf', bytes: text('<!doctype html><title>404</title>') }], /web page/],
        [[{ name: 'model.gguf', bytes: text('nonsense') }], /GG_/],
        [[{ name: 'notes.txt', bytes: text('hello') }], /config\.json/],
        [good.map((file) => ({ ...file, bytes: file.bytes.subarray(0, -100) })), /[A-Z]+_[A-Z]+/],
      ];
      for (const [files, expected] of cases) {
        await drop(page, files);
        await error.filter({ hasText: expected }).waitFor({ timeout: 30_000 });
      }
      await picture(page, 'desktop-dark-error');
      await loadStories(page);
      expect(await error.isHidden()).toBe(true);
    });
  });

  it('compares every block with the reference on every backend', async () => {
    const page = await open({}, { width: 390, height: 844 });
    const blocks = await page.locator('#block option').allTextContents();
    expect(blocks).toHaveLength(5);
    for (const block of blocks) {
      await page.getByLabel('Block', { exact: true }).selectOption(block);
      await page.getByRole('button', { name: 'Run' }).click();
      await page.getByText('Done.').waitFor({ timeout: 120_000 });
      const rows = await page.locator('#block-results tbody tr').allTextContents();
      console.log(`${block}: ${rows.join(' | ')}`);
      expect(rows).toHaveLength(4);
      expect(rows[0]).toContain('the judge');
      expect(rows[1]).not.toMatch(/Not available|NaN/);
    }
    await picture(page, 'phone-light-blocks');
    expect(complaints).toEqual([]);
  });

  it('is served with its headers, and a page that opens nothing asks nobody else', async () => {
    const page = await open();
    const hosts = new Set<string>();
    page.on('request', (request) => hosts.add(new URL(request.url()).hostname));
    const response = await page.reload();
    const headers = response!.headers();
    expect(headers['content-security-policy']).toContain("script-src 'self' 'wasm-unsafe-eval'");
    expect(headers['content-security-policy']).not.toMatch(/unsafe-inline|'unsafe-eval'|blob:|data:/);
    expect(headers['cross-origin-opener-policy']).toBe('same-origin');
    await page.getByRole('radio', { name: 'Reference' }).waitFor();
    expect([...hosts]).toEqual(['localhost']);
    const origin = new URL(page.url()).origin;
    const status = async (path: string, range?: string) =>
      (await page.request.get(`${origin}${path}`, range ? { headers: { range } } : {})).status();
    expect(await status('/..%2f..%2fpackage.json')).toBe(404);
    expect(await status('/index.html', 'bytes=0-9')).toBe(206);
    expect(await status('/index.html', 'bytes=99999999-')).toBe(416);
  });

  it('loads nano-mini from beside the page, and it answers as in Node', async () => {
    const page = await open();
    const button = page.getByRole('button', { name: 'Load nano-mini' });
    if (!existsSync(join(dist, 'models/nano-mini'))) {
      expect(await button.isDisabled()).toBe(true);
      await page.getByText('nano-mini is not part of this build').waitFor();
      return;
    }
    await button.click();
    await expectLoaded(page);
    await expect(page.locator('#model-facts').textContent()).resolves.toContain('wasm');

    const question = 'What is 69 + 88?';
    await page.getByLabel('Your message').fill(question);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(/per second, behind/).waitFor({ timeout: 60_000 });
    const model = await loadModel(join(dist, 'models/nano-mini'), { backend: 'wasm', threads: 1 });
    const messages = [{ role: 'user' as const, content: question }];
    const { text } = await collect(model.generate({ messages, maxNewTokens: 128 }));
    await model.dispose();
    expect(await page.locator('.written').last().textContent()).toBe(text);
    expect(text).toMatch(/Answer: \d+\.$/);
    // Files that a checkpoint may have and this one has not are asked for.
    expect(complaints.filter((complaint) => !complaint.includes('status of 404'))).toEqual([]);
  });
});
