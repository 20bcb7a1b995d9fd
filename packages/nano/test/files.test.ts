import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type NanoModelName, nanoModelFiles, nanoModelNames } from '../src/index.ts';

const models = new URL('../models/', import.meta.url);
const sizeOf = (file: URL): number => statSync(fileURLToPath(file)).size;

async function sizeOfModel(name: NanoModelName): Promise<number> {
  const sizes = Object.values(await nanoModelFiles(name)).map(sizeOf);
  return sizes.reduce((sum, size) => sum + size, 0);
}

describe('the files of the package', () => {
  it('are those of the models it names, and nothing else', async () => {
    expect(readdirSync(fileURLToPath(models)).sort()).toEqual([...nanoModelNames].sort());
    for (const name of nanoModelNames) {
      const listed = Object.keys(await nanoModelFiles(name)).sort();
      expect(readdirSync(fileURLToPath(new URL(`${name}/`, models))).sort(), name).toEqual(listed);
    }
  });

  it('take at most 8 MB per model and 32 MB in all', async () => {
    const sizes = await Promise.all(nanoModelNames.map(sizeOfModel));
    expect(sizes.filter((size) => size > 8e6)).toEqual([]);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(32e6);
  });

  it('have hidden and feed-forward sizes that every quantization format divides', async () => {
    for (const name of nanoModelNames) {
      const config = JSON.parse(readFileSync(fileURLToPath((await nanoModelFiles(name))['config.json']), 'utf8'));
      const feedForward = config.intermediate_size ?? config.ff_intermediate_size;
      expect([name, config.hidden_size % 256, feedForward % 256]).toEqual([name, 0, 0]);
    }
  });

  it('can be found by the subpath of each model', async () => {
    for (const name of nanoModelNames) {
      const { files } = await import(`../src/${name}.ts`);
      expect(files).toEqual(await nanoModelFiles(name));
    }
  });
});

describe('nanoModelFiles', () => {
  it.each(['nano-large', '__proto__', 'toString'])('knows no %s', async (name) => {
    // @ts-expect-error a name that is none, on purpose
    await expect(nanoModelFiles(name)).rejects.toThrow(RangeError);
  });
});
