import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { isolationHeaders } from '../server/serve.mjs';
import { describeInBrowser } from './browser-page.ts';

// A page without a bundler: modules as they are published, names resolved by an import map, which workers do not have.

const packages = fileURLToPath(new URL('../../../packages', import.meta.url));

const html = `<!doctype html>
<title>No bundler</title>
<script type="importmap">
  { "imports": {
    "@phiblocks/tensor": "/tensor/dist/index.js",
    "@phiblocks/backend-wasm": "/backend-wasm/dist/index.js"
  } }
</script>
<script type="module">
  import { createWasmBackend } from '@phiblocks/backend-wasm';
  const backend = await createWasmBackend({ threads: 2 });
  const step = backend.beginStep();
  const x = step.upload({ data: new Float32Array(300 * 300).fill(1), shape: [300, 300] });
  const { data } = await backend.read(step.multiply(step.add(x, x), 3)); // large enough to be shared
  const { threads } = backend.report();
  step.end();
  await backend.dispose();
  globalThis.result = { threads, first: data[0], last: data.at(-1) };
</script>`;

it('the worker of @phiblocks/backend-wasm, and what it imports, imports no package by name', () => {
  const folder = join(packages, 'backend-wasm/dist');
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const code = readFileSync(join(folder, name), 'utf8');
    for (const [, imported] of code.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
      expect(imported, name).toMatch(/^\.\//);
      visit(imported!.slice(2));
    }
  };
  expect(readdirSync(folder)).toContain('worker.js');
  visit('worker.js');
  expect(seen.size).toBeGreaterThanOrEqual(1);
});

describeInBrowser('a page without a bundler', ({ browser }) => {
  it('has threads: @phiblocks/backend-wasm starts its workers', async () => {
    const page = await (await browser().newContext()).newPage();
    await page.route('http://localhost/**', async (route) => {
      const path = new URL(route.request().url()).pathname;
      const type = extname(path) === '.js' ? 'text/javascript' : 'text/html';
      const body = path === '/' ? html : readFileSync(join(packages, path));
      await route.fulfill({ headers: { ...isolationHeaders, 'Content-Type': type }, body });
    });
    const failures: string[] = [];
    page.on('pageerror', (error) => failures.push(String(error)));
    await page.goto('http://localhost/');
    const result = await page.waitForFunction(() => Reflect.get(globalThis, 'result'), undefined, { timeout: 30_000 });
    expect(failures).toEqual([]);
    expect(await result.jsonValue()).toEqual({ threads: 2, first: 6, last: 6 });
  });
});
