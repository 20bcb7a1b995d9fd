import { mkdir, readFile, writeFile } from 'node:fs/promises';
import asc from 'assemblyscript/asc';
import { attentionTileSource } from './attention-tiles.mjs';
import { tileSource } from './tiles.mjs';

// Compiles the kernels and writes them as base64 into a TypeScript file: no loader, no fetch and no bundler plugin is needed,
// in Node and in browsers alike.

const root = new URL('../', import.meta.url);

async function compile({ entry, features, relaxed }) {
  const files = new Map();
  const { error, stderr } = await asc.main(
    [
      entry,
      '--outFile',
      'kernels.wasm',
      '-O3',
      '--converge',
      '--noAssert',
      // Kernels allocate nothing: the memory belongs to `src/heap.ts`.
      '--runtime',
      'stub',
      '--use',
      'abort=',
      '--enable',
      features,
      '--importMemory',
      '--sharedMemory',
      '--initialMemory',
      '1',
      '--maximumMemory',
      '65536',
    ],
    {
      readFile: async (name, base) => {
        if (name.endsWith('assembly/attention-tiles.ts')) return attentionTileSource();
        if (name.endsWith('assembly/tiles.ts')) return tileSource({ relaxed });
        return readFile(new URL(name, base ? new URL(`${base}/`, root) : root), 'utf8').catch(() => null);
      },
      writeFile: (name, data) => void files.set(name, data),
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`asc: ${error.message}\n${stderr}`);
  return files.get('kernels.wasm');
}

/**
 * The offset of the flags of the imported memory, whose second bit says "shared". Where there are no shared memories, the same
 * module serves with that bit cleared: atomic instructions are allowed on any memory.
 */
function memoryFlagsOffset(binary) {
  const name = new TextEncoder().encode('\x03env\x06memory\x02');
  for (let at = 8; at < binary.length; at++) {
    if (name.every((byte, index) => binary[at + index] === byte)) {
      if (binary[at + name.length] !== 3) throw new Error('the memory is not imported as shared with a maximum');
      return at + name.length;
    }
  }
  throw new Error('the memory is not imported');
}

const flavours = {
  relaxedKernels: { entry: 'assembly/index.ts', features: 'simd,threads,relaxed-simd', relaxed: true },
  simdKernels: { entry: 'assembly/index.ts', features: 'simd,threads', relaxed: false },
  scalarKernels: { entry: 'assembly/scalar/index.ts', features: 'threads', relaxed: false },
};

// The scalar kernels have a file of their own, which is loaded only where there is no SIMD.
const fileOf = (name) => (name === 'scalarKernels' ? 'scalar-kernels.ts' : 'kernels.ts');

const files = new Map();
for (const [name, flavour] of Object.entries(flavours)) {
  const binary = await compile(flavour);
  const base64 = Buffer.from(binary).toString('base64');
  const lines = files.get(fileOf(name)) ?? ['// Made by scripts/build-kernels.mjs from assembly/.', ''];
  lines.push(`export const ${name} = { memoryFlagsOffset: ${memoryFlagsOffset(binary)}, base64: '${base64}' };`);
  files.set(fileOf(name), lines);
  console.log(`${name}: ${binary.length} bytes`);
}
await mkdir(new URL('src/generated', root), { recursive: true });
for (const [file, lines] of files) await writeFile(new URL(`src/generated/${file}`, root), `${lines.join('\n')}\n`);
