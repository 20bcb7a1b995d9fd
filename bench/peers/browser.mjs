// One run of one engine in Chromium: node browser.mjs ENGINE FILE.gguf ONNX_DIRECTORY PROMPT_TOKENS CONTEXT DECODE_TOKENS THREADS
// ENGINE is phiblocks, wllama or onnxruntime-web. Prints one JSON object. The page is isolated, so all of them have threads.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const [engine, gguf, onnxDirectory, ...numbers] = process.argv.slice(2);
const [promptTokens, context, decodeTokens, threads] = numbers.map(Number);
const here = dirname(fileURLToPath(import.meta.url));
const { resolve } = createRequire(import.meta.url);

const { outputFiles } = await build({
  // A bundler that knows `new URL(…, import.meta.url)` would find the worker by itself; esbuild does not.
  entryPoints: {
    'browser-page': join(here, 'browser-page.mjs'),
    worker: join(here, '../../packages/backend-wasm/dist/worker.js'),
  },
  bundle: true,
  format: 'esm',
  write: false,
  outdir: '/',
  logLevel: 'error',
});
const bundles = new Map(outputFiles.map(({ path, contents }) => [`/${basename(path)}`, contents]));
const page = '<!doctype html><title>peers</title><script type="module" src="/browser-page.js"></script>';
const onnxDist = dirname(resolve('onnxruntime-web'));
const routes = new Map([
  ['/model.gguf', gguf],
  ['/model.onnx', join(onnxDirectory, 'onnx/model_q4.onnx')],
  ['/wllama.wasm', join(here, 'node_modules/@wllama/wllama/esm/wasm/wllama.wasm')],
]);
const types = { js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const type = types[pathname.split('.').at(-1)] ?? (pathname === '/' ? 'text/html' : 'application/octet-stream');
  const headers = {
    'content-type': type,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  };
  const file = routes.get(pathname) ?? (pathname.startsWith('/ort/') && join(onnxDist, basename(pathname)));
  if (pathname === '/') response.writeHead(200, headers).end(page);
  else if (bundles.has(pathname)) response.writeHead(200, headers).end(bundles.get(pathname));
  else if (file) {
    response.writeHead(200, { ...headers, 'content-length': statSync(file).size });
    createReadStream(file).pipe(response);
  } else response.writeHead(404, headers).end();
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
try {
  const tab = await browser.newPage();
  tab.on('pageerror', (error) => console.error(error));
  await tab.goto(`${origin}/`);
  await tab.waitForFunction(() => 'measure' in globalThis);
  const { numKeyValueHeads, headDim } = await shapeOf(onnxDirectory);
  const result = await tab.evaluate(
    ([name, files, lengths]) => globalThis.measure(name, files, lengths),
    [
      engine,
      {
        gguf: `${origin}/model.gguf`,
        onnx: `${origin}/model.onnx`,
        wllama: `${origin}/wllama.wasm`,
        onnxruntime: `${origin}/ort/`,
      },
      { promptTokens, context, decodeTokens, threads, config: { numKeyValueHeads, headDim } },
    ],
  );
  console.log(JSON.stringify({ ...result, browser: browser.version() }));
} finally {
  await browser.close();
  server.close();
}

function shapeOf(directory) {
  const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
  return { numKeyValueHeads: config.num_key_value_heads, headDim: config.hidden_size / config.num_attention_heads };
}
