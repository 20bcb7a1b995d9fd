// Turns the functions of `kernels/` into strings. A consumer's bundler would rewrite functions in ways that gpu.js cannot
// compile; strings pass through everything.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const kernels = new URL('../kernels/', import.meta.url);
const generated = new URL('../src/generated/', import.meta.url);

const files = (await readdir(kernels)).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
const sources = new Map();
for (const file of files.sort()) {
  const { outputText } = ts.transpileModule(await readFile(new URL(file, kernels), 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, removeComments: true },
  });
  if (/^import\b/m.test(outputText)) {
    throw new Error(`${fileURLToPath(new URL(file, kernels))} imports more than types: a kernel must stand alone`);
  }
  const module = await import(`data:text/javascript,${encodeURIComponent(outputText)}`);
  for (const [name, kernel] of Object.entries(module)) {
    if (sources.has(name)) throw new Error(`two kernels are named ${name}`);
    sources.set(name, kernel.toString());
  }
}

const lines = [...sources].map(([name, source]) => `  ${name}: ${JSON.stringify(source)},`);
await mkdir(generated, { recursive: true });
await writeFile(
  new URL('kernels.ts', generated),
  `/** Made by scripts/build-kernels.mjs from the functions in kernels/. */\nexport const kernelSources = {\n${lines.join('\n')}\n} as const;\n`,
);
