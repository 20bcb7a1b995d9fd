import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** Everything that a file imports, and what that imports, by the text of its import statements. */
function importsOf(file: string, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(file)) return seen;
  const specifiers = [...readFileSync(file, 'utf8').matchAll(/^(?:import|export|\}) .*?from '([^']+)'/gm)].map(
    (match) => match[1]!,
  );
  seen.set(file, specifiers);
  for (const specifier of specifiers) if (specifier.startsWith('.')) importsOf(resolve(dirname(file), specifier), seen);
  return seen;
}

const entry = (name: string) => importsOf(fileURLToPath(new URL(`../src/${name}`, import.meta.url)));
const outside = (files: Map<string, string[]>) =>
  new Set([...files.values()].flat().filter((name) => !name.startsWith('.')));

it('PF-20 the universal entry imports nothing of Node, only the tensor package', () => {
  expect([...outside(entry('index.ts'))]).toEqual(['@phiblocks/tensor']);
});

it('the Node entry imports the file system', () => {
  expect(outside(entry('node.ts'))).toContain('node:fs/promises');
});
