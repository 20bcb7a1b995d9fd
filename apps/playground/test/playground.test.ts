import { existsSync, readFileSync } from 'node:fs';
import { collect, readAttention } from '@phiblocks/runtime';
import { loadModel } from '@phiblocks/runtime/node';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import {
  chat,
  describeInBrowser,
  drop,
  loadNanoMini,
  loadStories,
  nanoMini,
  picture,
  readStories,
  stories,
  switchBackend,
  write,
} from './browser-page.ts';

// Drives the built page like a person, in Chromium, from a server with the headers that it is meant to have.
// SCREENSHOTS=folder keeps pictures of it.

describeInBrowser('the playground', ({ open, complaints }) => {
  describeWithShared('with the trained model stories260k-phi3', stories, () => {
    it('PF-02 loads dropped files, on threads without blob: workers, writes the published text, stops, switches the backend, shows what comes next', async () => {
      const page = await open();
      await loadStories(page);
      expect(await page.locator('#model-facts').textContent()).toMatch(/wasm, .*, ([2-9]|\d\d) threads/);
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
        await switchBackend(page, name, name === 'Reference' ? 'reference' : 'wasm');
        texts.push(await write(page, 'Once upon a time', 24));
      }
      expect(texts[0]).toBe(texts[1]);
      expect(complaints(page)).toEqual([]);
      await picture(page, 'desktop-light');
    });

    // Software adapters compile and run kernels slowly, on a busy machine for minutes.
    it.each([
      ['WebGL2 (gpu.js)', 'webgl2'],
      ['WebGPU (gpu.js)', 'webgpu'],
    ])(
      'PF-03, PF-17 writes the same on %s under the strict policy, without eval',
      { timeout: 400_000 },
      async (name, mode) => {
        const page = await open();
        await loadStories(page);
        const onWasm = await write(page, 'Once upon a time', 4);
        await switchBackend(page, name, mode);
        expect(await write(page, 'Once upon a time', 4)).toBe(onWasm);
      },
    );

    it('shows what each token looks at, as Node computes it', async () => {
      const model = await loadModel(sharedPath(stories), { backend: 'reference' });
      const { ids } = await collect(model.generate({ prompt: 'Once upon a time', maxNewTokens: 30 }));
      // The last token was chosen and not run yet.
      const text = [...model.encodePrompt('Once upon a time'), ...ids.slice(0, -1)];
      const T = text.length;
      const expected = await readAttention(model, text, { layer: 3, head: 2 });
      await model.dispose();

      const page = await open({ colorScheme: 'dark' });
      expect(await page.getByRole('button', { name: 'Look' }).isDisabled()).toBe(true);
      await loadStories(page);
      for (const [label, name] of [
        ['WebAssembly', 'wasm'],
        ['Reference', 'reference'],
      ] as const) {
        await switchBackend(page, label, name);
        await write(page, 'Once upon a time', 30);
        await page.getByLabel('Layer', { exact: true }).selectOption('3');
        await page.getByRole('button', { name: 'Look' }).click();
        await page.locator('.attended').first().waitFor();
        await page.getByLabel('Head', { exact: true }).selectOption('2');
        for (const query of [0, 7, T - 1]) {
          await page.locator('.attended').nth(query).click();
          await page.getByText(`Token ${query + 1} of ${T}, `).waitFor();
          const shares = await page
            .locator('.attended')
            .evaluateAll((tokens: HTMLElement[]) => tokens.map((token) => Number.parseFloat(token.title)));
          expect(shares).toHaveLength(T);
          for (const [key, share] of shares.entries()) {
            // Shown with two digits behind the point; float32 sums of the backends differ far below that.
            expect(Math.abs(share - 100 * expected.data[query * T + key]!), `${name} ${query} ${key}`).toBeLessThan(
              0.011,
            );
          }
        }
      }
      await picture(page, 'desktop-dark-attention');
      expect(complaints(page)).toEqual([]);
    });

    it('PF-01 is usable on a phone, dark, without threads', async () => {
      const page = await open({ isolation: false, width: 390, height: 844, colorScheme: 'dark' });
      await loadStories(page);
      await write(page, 'Lily and Tom went to', 30);
      await expect(page.locator('#environment').textContent()).resolves.toContain('one thread');
      // Nothing sticks out to the right.
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
      await picture(page, 'phone-dark');
      expect(complaints(page)).toEqual([]);
    });

    it.each([
      ['desktop', 1280, 900],
      ['phone', 390, 844],
    ] as const)('with everything shown nothing sticks out, on a %s', async (name, width, height) => {
      const page = await open({ width, height });
      await loadStories(page);
      await write(page, 'Once upon a time', 60);
      await page.getByRole('button', { name: 'Look' }).click();
      await page.locator('.attended').first().waitFor();
      await page.getByRole('button', { name: 'Run' }).click();
      await page.getByText('Done.').waitFor({ timeout: 120_000 });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await picture(page, `${name}-${colorScheme}-everything`);
      }
    });

    it("PF-04 under script-src 'self' alone the reference backend works, and WebAssembly says what forbids it", async () => {
      const page = await open({ policy: 'no-wasm' });
      expect(await page.getByRole('radio', { name: 'Reference' }).isChecked()).toBe(true);
      expect(await page.getByRole('radio', { name: 'WebAssembly' }).isDisabled()).toBe(true);
      await page.getByText("it lacks 'wasm-unsafe-eval'").waitFor();
      await loadStories(page);
      expect((await write(page, 'Once upon a time', 5)).length).toBeGreaterThan(0);
    });

    it('says in words what is wrong with broken files, and goes on', async () => {
      const page = await open({ colorScheme: 'dark' });
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
    const page = await open({ width: 390, height: 844 });
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
    expect(complaints(page)).toEqual([]);
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

  it.runIf(existsSync(nanoMini))('loads nano-mini from beside the page, and it answers as in Node', async () => {
    const page = await open();
    await loadNanoMini(page);
    await expect(page.locator('#model-facts').textContent()).resolves.toContain('wasm');
    const question = 'What is 69 + 88?';
    const answer = await chat(page, question);
    const model = await loadModel(nanoMini, { backend: 'wasm', threads: 1 });
    const messages = [{ role: 'user' as const, content: question }];
    const { text } = await collect(model.generate({ messages, maxNewTokens: 128 }));
    await model.dispose();
    expect(answer).toBe(text);
    expect(text).toMatch(/Answer: \d+\.$/);
    // Files that a checkpoint may have and this one has not are asked for.
    expect(complaints(page).filter((complaint) => !complaint.includes('status of 404'))).toEqual([]);
  });

  it.runIf(existsSync(nanoMini))('PF-19 refuses a model too large for the device, unless told not to', async () => {
    const page = await open({
      async prepare(fresh) {
        await fresh.addInitScript(() =>
          Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => 0.005 }),
        );
      },
    });
    await page.getByText('weights of up to 2.50 MB').waitFor();
    await page.getByRole('button', { name: 'Load nano-mini' }).click();
    await page.locator('#load-error').filter({ hasText: 'MEMORY_BUDGET' }).waitFor();
    await page.getByLabel('Load models of any size').check();
    await loadNanoMini(page);
  });

  it.runIf(existsSync(nanoMini))(
    'PF-18 a page that is frozen in mid-answer goes on when it is looked at again',
    async () => {
      const page = await open();
      await loadNanoMini(page);
      const question = 'Add 13 and 70.';
      const expected = await chat(page, question);
      await page.getByRole('button', { name: 'Clear' }).click();
      const session = await page.context().newCDPSession(page);
      await page.getByLabel('Your message').fill(question);
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText(/^\d+ tokens, .* per second$/).waitFor();
      // What a browser does to a tab behind others, sooner or later.
      await session.send('Page.setWebLifecycleState', { state: 'frozen' });
      await session.send('Page.setWebLifecycleState', { state: 'active' });
      await page.getByText(/, behind \d+ of the prompt/).waitFor();
      expect(await page.locator('.written').last().textContent()).toBe(expected);
      // Left, and gone back to: the page stands as it was or anew, and works.
      await page.goto('about:blank');
      await page.goBack();
      await page.getByRole('radio', { name: 'Reference' }).waitFor();
      if (await page.locator('#model-facts').isHidden()) await loadNanoMini(page);
      expect(await chat(page, question)).toContain('83');
    },
  );

  it.runIf(!existsSync(nanoMini))('says that nano-mini is not there', async () => {
    const page = await open();
    expect(await page.getByRole('button', { name: 'Load nano-mini' }).isDisabled()).toBe(true);
    await page.getByText('nano-mini is not part of this build').waitFor();
  });
});
