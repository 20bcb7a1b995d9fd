import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allowLoopback, sharedPath } from '@phiblocks/testing';
import { type Browser, chromium, type Page } from 'playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, missingBrowser } from '../../../tools/browser-tests.mjs';
import { createStaticServer, type PolicyName } from '../server/serve.mjs';

// What the tests of the page share: a Chromium, a server with the headers that the page is meant to have, and what a person
// does with the page.

/** The built page. */
export const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** Where the built page has nano-mini; the folder is missing where the workspace has no such model. */
export const nanoMini = join(dist, 'models/nano-mini');

/** The trained model of the shared reference data. */
export const stories = 'models/stories260k-phi3';

/** Software adapters. Chromium hides the one of WebGPU without these. */
export const softwareGpu = [
  '--enable-unsafe-swiftshader',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
];

export interface OpenOptions {
  readonly isolation?: boolean | undefined;
  readonly policy?: PolicyName | undefined;
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: 'light' | 'dark';
  /** Another server than one for the built page: its address. */
  readonly at?: string;
  /** Called before the page is loaded. */
  readonly prepare?: (page: Page) => Promise<void>;
}

/** What a test gets. */
export interface Pages {
  readonly browser: () => Browser;
  /** The page, loaded, from a server of its own. */
  open(options?: OpenOptions): Promise<Page>;
  /** What that page wrote to its console as errors. */
  complaints(page: Page): string[];
}

/**
 * Tests in a Chromium, which is started before the first and ended behind the last. Where there is none they are skipped, and
 * one says why; with REQUIRE_BROWSER that one fails.
 */
export function describeInBrowser(
  name: string,
  tests: (pages: Pages) => void,
  flags: readonly string[] = softwareGpu,
): void {
  const reason = missingBrowser();
  if (reason !== undefined) {
    it(`a browser is there for ${name}`, (context) => {
      if (process.env.REQUIRE_BROWSER) throw new Error(reason);
      context.skip(reason);
    });
  }

  describe.skipIf(reason !== undefined)(name, { timeout: 180_000 }, () => {
    allowLoopback();
    let browser: Browser;
    const servers: Server[] = [];
    const complaintsOf = new WeakMap<Page, string[]>();

    beforeAll(async () => {
      if (!existsSync(join(dist, 'index.html'))) throw new Error('the page is not built: turbo run build');
      browser = await chromium.launch({
        executablePath: findChromium(),
        args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), ...flags],
      });
    }, 120_000);
    afterEach(async () => {
      for (const context of browser.contexts()) await context.close();
      for (const server of servers.splice(0)) server.close();
    });
    afterAll(() => browser?.close());

    async function serve({ isolation, policy }: OpenOptions): Promise<string> {
      const server = createStaticServer(dist, { isolation, policy });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return `http://localhost:${(server.address() as AddressInfo).port}/`;
    }

    tests({
      browser: () => browser,
      async open(options = {}) {
        const address = options.at ?? (await serve(options));
        const { width = 1280, height = 900, colorScheme = 'light' } = options;
        const context = await browser.newContext({ viewport: { width, height }, colorScheme });
        const page = await context.newPage();
        const complaints: string[] = [];
        complaintsOf.set(page, complaints);
        page.on('console', (message) => {
          if (message.type() === 'error') complaints.push(message.text());
        });
        page.on('pageerror', (error) => complaints.push(String(error)));
        await options.prepare?.(page);
        await page.goto(address);
        await page.getByRole('radio', { name: 'Reference' }).waitFor();
        return page;
      },
      complaints: (page) => complaintsOf.get(page) ?? [],
    });
  });
}

/** Files as a person drops them, onto the drop area. */
export async function drop(page: Page, files: { name: string; bytes: Uint8Array }[]): Promise<void> {
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

const storyFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'model.safetensors',
];

/** The files of {@link stories}, as they are dropped. */
export function readStories(): { name: string; bytes: Uint8Array }[] {
  return storyFiles.map((name) => ({ name, bytes: new Uint8Array(readFileSync(sharedPath(stories, name))) }));
}

/** Waits for a model to be loaded. Where the page says instead what went wrong, the test fails with its words. */
export async function expectLoaded(page: Page, timeout = 60_000): Promise<void> {
  await page.locator('#load-error:visible, #model-facts:visible').first().waitFor({ timeout });
  expect(await page.locator('#load-error').textContent()).toBe('');
  await page.getByText(/^Loaded: /).waitFor();
}

export async function loadStories(page: Page): Promise<void> {
  await drop(page, readStories());
  await expectLoaded(page);
}

export async function loadNanoMini(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Load nano-mini' }).click();
  await expectLoaded(page);
}

/** Chooses a backend by its label, and waits until the model runs on it; kernels on software adapters take their time. */
export async function switchBackend(page: Page, label: string, reported: string): Promise<void> {
  await page.getByRole('radio', { name: label }).check();
  await expectLoaded(page, 180_000);
  expect(await page.locator('#model-facts').textContent()).toContain(reported);
}

/** Continues a text, and gives what the model wrote. */
export async function write(page: Page, text: string, tokens: number): Promise<string> {
  await page.getByLabel('Tokens').fill(String(tokens));
  await page.getByLabel('Text to continue').fill(text);
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  return written(page);
}

/** Asks a question, and gives the answer. */
export async function chat(page: Page, question: string): Promise<string> {
  await page.getByLabel('Your message').fill(question);
  await page.getByRole('button', { name: 'Send' }).click();
  return written(page);
}

async function written(page: Page): Promise<string> {
  await page
    .locator('#generate-error:visible')
    .or(page.getByText(/, behind \d+ of the prompt/))
    .first()
    .waitFor({ timeout: 300_000 });
  expect(await page.locator('#generate-error').textContent()).toBe('');
  return (await page.locator('.written').last().textContent()) ?? '';
}

/** Keeps a picture of the whole page in the folder SCREENSHOTS, where that is set. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}
