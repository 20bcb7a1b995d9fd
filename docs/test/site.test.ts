import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { allowLoopback } from '@phiblocks/testing';
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, missingBrowser } from '../../tools/browser-tests.mjs';
import { createSiteServer } from '../preview.mjs';

// The built site, from a static server, below the path it was built for: every link, every page, every control.
// SCREENSHOTS=folder keeps pictures of all pages but the API, at two widths, light and dark, cut into pieces that can be
// looked at without making them smaller. SCREENSHOT_PAGES=a,b takes the pages with these parts of a name, also of the API,
// and SCREENSHOT_PIECES=n no more than the first n pieces of each.

allowLoopback();

const dist = fileURLToPath(new URL('../.vitepress/dist', import.meta.url));
if (!existsSync(join(dist, 'site.json'))) throw new Error('the site is not built: pnpm run docs:build');
const { base } = JSON.parse(readFileSync(join(dist, 'site.json'), 'utf8')) as { base: string };

const reason = missingBrowser();
const isRequired = Boolean(process.env.REQUIRE_BROWSER);
const screenshots = process.env.SCREENSHOTS;
const pieceHeight = 1400;
/** The bar at the top covers so much of every piece but the first. */
const barHeight = 112;

/** Every page, relative to the base. */
const pages = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.html') && !file.startsWith('playground-app/') && file !== '404.html')
  .sort();
const textOf = (page: string): string => readFileSync(join(dist, page), 'utf8');
const withFigures = pages.filter((page) => textOf(page).includes('data-figure-place'));

describe('the built site', () => {
  it('has the pages that the issue of the site asks for', () => {
    const blocks = ['rope', 'block-sparse-attention', 'grouped-query-attention', 'kv-cache', 'quantization'];
    const more = ['hd-transform', 'clip-and-projector', 'mixture-of-experts', 'samplers', 'tokenizer'];
    for (const block of [...blocks, ...more]) expect(withFigures).toContain(`blocks/${block}.html`);
    expect(pages).toEqual(
      expect.arrayContaining(['index.html', 'which-phi-3.html', 'playground.html', 'benchmarks.html']),
    );
    expect(pages.filter((page) => page.startsWith('tutorials/')).length).toBeGreaterThanOrEqual(11);
    expect(pages.filter((page) => page.startsWith('api/')).length).toBeGreaterThanOrEqual(17);
    expect(pages.filter((page) => page.startsWith('decisions/')).length).toBeGreaterThan(30);
  });

  it('calls every parameter of the API by a name', () => {
    // What typedoc writes for a destructured parameter that no @param names.
    const isNameless = (page: string): boolean => textOf(page).includes('__namedParameters');
    expect(pages.filter((page) => page.startsWith('api/') && isNameless(page))).toEqual([]);
  });

  it('has no link that leads nowhere, to a page or to a place in it, and loads nothing from other hosts', () => {
    const ids = new Map(
      pages.map((page) => [page, new Set([...textOf(page).matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id))]),
    );
    const broken: string[] = [];
    const foreign: string[] = [];
    for (const page of pages) {
      const text = textOf(page);
      for (const [, tag, address] of text.matchAll(/<(\w+)[^>]*?\s(?:href|src)="([^"]+)"/g)) {
        if (/^(?:https?:)?\/\//.test(address!)) {
          if (tag !== 'a') foreign.push(`${page}: <${tag}> ${address}`);
          continue;
        }
        if (/^(?:data|mailto):/.test(address!)) continue;
        const url = new URL(address!.replaceAll('&amp;', '&'), `http://site${base}${page}`);
        if (!url.pathname.startsWith(base)) {
          broken.push(`${page}: ${address} leaves ${base}`);
          continue;
        }
        const path = decodeURIComponent(url.pathname.slice(base.length));
        const file =
          path === '' || path.endsWith('/') ? `${path}index.html` : posix.extname(path) ? path : `${path}.html`;
        if (!existsSync(join(dist, file))) broken.push(`${page}: ${address}`);
        else if (url.hash !== '' && ids.get(file)?.has(decodeURIComponent(url.hash.slice(1))) === false) {
          broken.push(`${page}: ${address} has no such place`);
        }
      }
    }
    expect(broken).toEqual([]);
    expect(foreign).toEqual([]);
  });

  it('has every line of code as it is in the source, for copying, whatever marks are between its words', () => {
    const folder = fileURLToPath(new URL('../tutorials', import.meta.url));
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.md'))) {
      const html = textOf(`tutorials/${name.replace('.md', '.html')}`);
      const shown = Array.from(html.matchAll(/<pre [^>]*><code[^>]*>(.*?)<\/code><\/pre>/gs), ([, code]) =>
        code!
          .replace(/<[^>]+>/g, '')
          .replaceAll('&quot;', '"')
          .replace(/&lt;|&#x3C;/g, '<')
          .replaceAll('&gt;', '>')
          .replace(/&#(?:39|x27);/g, "'")
          .replace(/&amp;|&#x26;/g, '&'),
      );
      const fences = readFileSync(join(folder, name), 'utf8').matchAll(/^```\w+[^\n]*\n(.*?)\n```$/gms);
      expect(shown, name).toEqual(Array.from(fences, ([, code]) => code!.trimEnd()));
    }
  });
});

it.runIf(reason !== undefined)(`a browser is there, or what is missing is said: ${reason}`, (context) => {
  if (isRequired) throw new Error(reason);
  context.skip(reason);
});

describe.skipIf(reason !== undefined)('the site in a browser', { timeout: 300_000 }, () => {
  let browser: Browser;
  const servers: Server[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: findChromium(),
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    });
  }, 120_000);
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    for (const server of servers.splice(0)) server.close();
  });
  afterAll(() => browser?.close());

  async function serve(isolation: boolean): Promise<string> {
    const server = createSiteServer({ isolation });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://localhost:${(server.address() as AddressInfo).port}${base}`;
  }

  /** A page whose errors are collected in `complaints`. */
  async function newPage(
    complaints: string[] = [],
    look: { width?: number; colorScheme?: 'light' | 'dark' } = {},
  ): Promise<Page> {
    const { width = 1280, colorScheme = 'light' } = look;
    const context: BrowserContext = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()} ${message.location().url}`);
    });
    page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error}`));
    page.on('response', (response) => {
      // A file that a model may have; whether it does is found out by asking.
      if (response.url().endsWith('/chat_template.jinja')) return;
      if (response.status() >= 400) complaints.push(`${page.url()}: ${response.status()} ${response.url()}`);
    });
    return page;
  }

  /** Waits for the figures that a page says it has. */
  async function figuresOf(page: Page): Promise<Locator[]> {
    const places = await page.locator('[data-figure-place]').all();
    for (const place of places) await place.locator('[data-figure]').waitFor({ timeout: 30_000 });
    return places;
  }

  /** What is torn on the page as it is shown: code in two lines that fits into one, and what scrolls sideways and does not say so. */
  function tornPlaces(page: Page): Promise<string[]> {
    return page.evaluate(() => {
      const found: string[] = [];
      const isNarrow = innerWidth < 640;
      const numLines = (element: Element): number =>
        new Set(Array.from(element.getClientRects(), ({ top }) => Math.round(top))).size;
      for (const code of document.querySelectorAll('.vp-doc code:not(pre *, .figure *)')) {
        const text = code.textContent ?? '';
        const longest = code.closest('h1, h2, h3, h4') ? 20 : code.closest('td, th') ? 40 : 30;
        if (text.length <= longest && numLines(code) > 1) found.push(`code in two lines: ${text}`);
      }
      for (const word of document.querySelectorAll('.vp-doc :is(pre .word, .whole)')) {
        if (numLines(word) > 1) found.push(`a word in two lines: ${word.textContent}`);
      }
      for (const line of isNarrow ? [] : document.querySelectorAll('.vp-doc pre .line')) {
        const text = line.textContent ?? '';
        const lineHeight = Number.parseFloat(getComputedStyle(line).lineHeight);
        const isBroken = line.getBoundingClientRect().height > 1.5 * lineHeight;
        if (text.length <= 80 && isBroken) found.push(`a line of ${text.length} characters is broken: ${text}`);
      }
      for (const box of document.querySelectorAll<HTMLElement>('.vp-doc *:not(input, textarea, select)')) {
        if (box.scrollWidth <= box.clientWidth + 1) continue;
        const { overflowX, backgroundAttachment } = getComputedStyle(box);
        if (!['auto', 'scroll'].includes(overflowX)) continue;
        // A shadow that stays, and a ground that moves along and covers it where there is no more.
        if (!['local', 'scroll'].every((kind) => backgroundAttachment.includes(kind))) {
          found.push(`scrolls without a hint: ${box.tagName}.${box.className} ${box.textContent?.slice(0, 40)}`);
        }
        for (const cell of box.querySelectorAll('tr, td')) {
          const color = getComputedStyle(cell).backgroundColor;
          if (!/^(?:rgba|color|transparent)/.test(color)) found.push(`a cell hides the hint: ${cell.textContent}`);
        }
      }
      return found;
    });
  }

  it('opens every page without an error, wide and narrow, and tears nothing', { timeout: 600_000 }, async () => {
    const address = await serve(true);
    const overflowing: string[] = [];
    const alerts: string[] = [];
    const torn: string[] = [];
    const rest = [...pages];
    const errors: string[] = [];
    const openAll = async () => {
      const page = await newPage(errors);
      // Steady pages, whose theme takes hints of scrolling away if it is not told otherwise.
      await page.emulateMedia({ reducedMotion: 'reduce' });
      // Every page is opened anyway: pages need not be fetched ahead, as VitePress does unless a person saves data.
      await page.addInitScript(() => {
        Object.defineProperty(navigator, 'connection', { value: { saveData: true, effectiveType: '4g' } });
      });
      for (let path = rest.shift(); path !== undefined; path = rest.shift()) {
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.goto(address + path);
        await page.locator('.VPContent').waitFor();
        await figuresOf(page);
        for (const width of [1440, 1280, 390]) {
          await page.setViewportSize({ width, height: 900 });
          torn.push(...(await tornPlaces(page)).map((place) => `${path} at ${width}: ${place}`));
          const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);
          if (scrollWidth > width) overflowing.push(`${path}: ${scrollWidth} of ${width}`);
        }
        alerts.push(
          ...(await page.locator('[role=alert]:visible').allTextContents()).map((text) => `${path}: ${text}`),
        );
      }
    };
    await Promise.all([openAll(), openAll()]);
    expect(errors).toEqual([]);
    expect(alerts).toEqual([]);
    expect(overflowing).toEqual([]);
    expect(torn).toEqual([]);
  });

  it.each(withFigures)(
    '%s: every control of every figure changes numbers, by keyboard, also without isolation',
    async (path) => {
      const complaints: string[] = [];
      const page = await newPage(complaints);
      await page.goto((await serve(false)) + path);
      for (const place of await figuresOf(page)) {
        const figure = await place.getAttribute('data-figure-place');
        // A figure that has nothing to show yet wants its button pressed first; others have one that shows something else.
        const loads = place.locator('[data-load]');
        if ((await place.locator('[data-value]').count()) === 0) await loads.first().press('Enter');
        await expect.poll(() => place.locator('[data-value]').count(), { timeout: 60_000 }).toBeGreaterThan(0);
        const controls = place.locator('input[type=range], input[type=checkbox], select, button');
        const usable = controls.and(page.locator(':not([data-test-skip], [data-test-skip] *, [data-load], :disabled)'));
        const numUsable = await usable.count();
        expect(numUsable, figure!).toBeGreaterThan(0);
        for (let index = 0; index < numUsable; index++) {
          const control = usable.nth(index);
          if (!(await control.isVisible())) continue;
          const label = await control.evaluate(
            (element: HTMLInputElement) => element.labels?.[0]?.textContent ?? element.textContent,
          );
          expect(await changesValues(place, control), `${figure}: ${label}`).toBe(true);
        }
        for (const load of await loads.all()) {
          expect(await changesValues(place, load, 60_000), `${figure}: ${await load.textContent()}`).toBe(true);
        }
        expect(await place.locator('[role=alert]:visible').allTextContents()).toEqual([]);
      }
      expect(complaints).toEqual([]);
    },
  );

  /** Whether using a control changes the text of a value of the figure. It is put back, so that no control hides another. */
  async function changesValues(place: Locator, control: Locator, timeout = 2_000): Promise<boolean> {
    const read = async () => (await place.locator('[data-value]').allTextContents()).join('|');
    const before = await read();
    // Only the last way of using a control has all of the time: what an earlier one changes late is seen then, too.
    const changed = (isLast = true) =>
      expect
        .poll(read, { timeout: isLast ? timeout : 100, interval: 25 })
        .not.toBe(before)
        .then(
          () => true,
          () => false,
        );
    const kind = await control.evaluate((element: HTMLInputElement) => `${element.tagName} ${element.type}`);
    if (kind.startsWith('SELECT')) {
      const chosen = await control.inputValue();
      const options = control.locator('option');
      const values = await options.evaluateAll((list) => list.map((option) => (option as HTMLOptionElement).value));
      let hasChanged = values.length === 1;
      const others = values.filter((one) => one !== chosen);
      for (const value of others) {
        await control.selectOption(value);
        hasChanged ||= await changed(value === others.at(-1));
        if (hasChanged) break;
      }
      await control.selectOption(chosen);
      return hasChanged;
    }
    if (kind === 'INPUT range') {
      const chosen = await control.inputValue();
      let hasChanged = false;
      for (const key of ['End', 'Home', 'ArrowRight']) {
        await control.press(key);
        hasChanged = await changed(key === 'ArrowRight');
        if (hasChanged) break;
      }
      await control.fill(chosen);
      return hasChanged;
    }
    await control.press('Space');
    const hasChanged = await changed();
    if (kind === 'INPUT checkbox') await control.press('Space');
    return hasChanged;
  }

  it('keeps the names of markers, ticks and axes of the plots apart, wide and narrow', async () => {
    const page = await newPage();
    const address = await serve(false);
    const touching: string[] = [];
    for (const path of withFigures) {
      await page.goto(address + path);
      await figuresOf(page);
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 900 });
        for (const plot of await page.locator('.plot').all()) {
          const found = await plot.evaluate((element) => {
            const boxes = Array.from(element.querySelectorAll('text, .axis-name'), (one) => {
              const range = document.createRange();
              range.selectNodeContents(one);
              return { text: one.textContent ?? '', box: range.getBoundingClientRect() };
            });
            const pairs: string[] = [];
            for (const [i, { text, box }] of boxes.entries()) {
              for (const other of boxes.slice(i + 1)) {
                const { left, right, top, bottom } = other.box;
                if (box.left < right && left < box.right && box.top < bottom && top < box.bottom) {
                  pairs.push(`${text.trim()} and ${other.text.trim()}`);
                }
              }
            }
            // The curves are drawn from the highest line of the grid downwards.
            const lines = Array.from(element.querySelectorAll('.grid line'), (one) => one.getBoundingClientRect().top);
            for (const name of element.querySelectorAll('.marker text')) {
              if (name.getBoundingClientRect().bottom > Math.min(...lines))
                pairs.push(`${name.textContent} and the plot`);
            }
            return pairs;
          });
          touching.push(...found.map((pair) => `${path} at ${width}: ${pair}`));
        }
      }
      await page.setViewportSize({ width: 1280, height: 900 });
    }
    expect(touching).toEqual([]);
  });

  it('recognises a configuration, compares two members and shows only where they differ', async () => {
    const page = await newPage();
    await page.goto(`${await serve(false)}which-phi-3.html`);
    const [place] = await figuresOf(page);
    const config = { model_type: 'phi3', vocab_size: 32064, hidden_size: 5120, intermediate_size: 17920 };
    const more = {
      num_hidden_layers: 40,
      num_attention_heads: 40,
      num_key_value_heads: 10,
      max_position_embeddings: 4096,
    };
    await place!.locator('textarea').fill(JSON.stringify({ ...config, ...more, sliding_window: 2047 }));
    await place!.getByText('This is Phi-3-medium-4k-instruct').waitFor();
    await place!.locator('textarea').fill('{ "model_type": "llama" }');
    await place!.getByText(/^CF_/).waitFor();

    const rows = place!.locator('tbody tr');
    const all = await rows.count();
    await place!.getByLabel('Compare').selectOption({ label: 'Phi-3-mini-4k-instruct' });
    await place!.getByLabel('with', { exact: true }).selectOption({ label: 'Phi-3-mini-128k-instruct' });
    expect(await place!.locator('thead th').count()).toBe(3);
    await place!.getByLabel('Only rows in which they differ').check();
    expect(await rows.count()).toBeLessThan(all);
    expect(await rows.locator('th').allTextContents()).toContain('Window');
  });

  it.each([
    ['with isolation headers', true],
    ['without them, on one thread, which it says', false],
  ])('chats with nano-mini in the playground %s, and fetches it only when asked', async (_name, isolation) => {
    const complaints: string[] = [];
    const page = await newPage(complaints);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(`${await serve(isolation)}playground.html`);
    const environment = page.getByRole('list', { name: 'What this browser brings' });
    await environment.getByText(isolation ? 'Threads: yes' : 'Threads: no').waitFor();
    if (!isolation) await environment.getByText('runs on one thread').waitFor();
    const app = page.frameLocator('iframe.playground');
    await app.getByRole('radio', { name: 'Reference' }).waitFor();
    expect(asked.filter((url) => /safetensors|gguf|gpu-browser|gpu\.js/.test(url))).toEqual([]);

    await app.getByRole('button', { name: 'Load nano-mini' }).click();
    await app.getByText(/^Loaded: /).waitFor({ timeout: 60_000 });
    await app.getByRole('radio', { name: 'Chat', exact: true }).check();
    await app.locator('#prompt').fill('What is 48 + 39?');
    await app.locator('#send').click();
    await app.getByText(/per second, behind/).waitFor({ timeout: 120_000 });
    expect(await app.locator('#log').textContent()).toContain('87');
    expect(complaints).toEqual([]);
  });

  it('weighs less than 300 kB compressed on its first page', async () => {
    const page = await newPage();
    const sizes = new Map<string, number>();
    const reads: Promise<void>[] = [];
    page.on('response', (response) => {
      reads.push(
        response.body().then((body) => {
          const isCompressed = /\.(?:woff2|png|jpg)$/.test(new URL(response.url()).pathname);
          sizes.set(response.url(), isCompressed ? body.length : gzipSync(body).length);
        }),
      );
    });
    await page.goto(await serve(false), { waitUntil: 'networkidle' });
    await Promise.all(reads);
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    console.log(`first page: ${total} bytes compressed in ${sizes.size} requests`);
    expect(total).toBeLessThan(300_000);
    expect([...sizes.keys()].filter((url) => !url.startsWith('http://localhost:'))).toEqual([]);
  });

  it.runIf(screenshots !== undefined)('is photographed', { timeout: 1_800_000 }, async () => {
    mkdirSync(screenshots!, { recursive: true });
    const address = await serve(true);
    const parts = process.env.SCREENSHOT_PAGES?.split(',');
    const numPieces = Number(process.env.SCREENSHOT_PIECES ?? Number.POSITIVE_INFINITY);
    const shown = pages.filter((page) =>
      parts ? parts.some((part) => page.includes(part)) : !page.startsWith('api/'),
    );
    const rest = [1280, 390].flatMap((width) => shown.map((path) => ({ width, path })));
    const photographAll = async () => {
      const page = await newPage();
      // Nothing is caught in motion.
      await page.emulateMedia({ reducedMotion: 'reduce' });
      for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
        const { width, path } = next;
        await page.setViewportSize({ width, height: pieceHeight });
        await page.goto(address + path);
        for (const place of await figuresOf(page)) {
          for (const button of await place.locator('[data-load]').all()) await button.click();
        }
        await page.waitForLoadState('networkidle');
        const sizeInPixels = await page.evaluate(() => document.documentElement.scrollHeight);
        const name = path.replaceAll('/', '-').replace('.html', '');
        // Piece by piece as a reader scrolls: a picture of a whole page of the API at once takes minutes.
        for (
          let y = 0, piece = 1;
          y < sizeInPixels - barHeight && piece <= numPieces;
          y += pieceHeight - barHeight, piece++
        ) {
          await page.evaluate((top) => scrollTo({ top, behavior: 'instant' }), y);
          for (const colorScheme of ['light', 'dark'] as const) {
            await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
            // The switch of the appearance moves all the same.
            await page.waitForFunction(
              (isDark) =>
                document.documentElement.classList.contains('dark') === isDark && document.getAnimations().length === 0,
              colorScheme === 'dark',
            );
            const file = `${name}-${width}-${colorScheme}-${String(piece).padStart(2, '0')}.png`;
            await page.screenshot({ path: join(screenshots!, file), timeout: 120_000 });
          }
        }
      }
    };
    await Promise.all([photographAll(), photographAll()]);
  });
});
