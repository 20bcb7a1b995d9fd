import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// What every package says of itself, beside what it runs: the code of READMEs is run by `fences.test.ts` and by the packages.

const repository = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const ceilings: Record<string, { minifiedSizeInBytes: number }> = JSON.parse(
  read('internal/workspace-tests/size-ceilings.json'),
).packages;

describe.each(readdirSync(join(repository, 'packages')))('README of packages/%s', (folder) => {
  const file = `packages/${folder}/README.md`;
  const text = read(file);
  const { name, dependencies = {} } = JSON.parse(read(`packages/${folder}/package.json`)) as {
    name: string;
    dependencies?: Record<string, string>;
  };

  it('is titled by the package, and says how to install it and a program that runs', () => {
    expect(text).toMatch(new RegExp(`^# ${name}\n\n\\w`));
    expect(text).toMatch(new RegExp(`^npm install (?:.* )?${name}(?:\\s|$)`, 'm'));
    expect(text).toMatch(/^```ts$/m);
  });

  it('says what it costs: the ceiling that is tested, and what it depends on', () => {
    const costs = text.split('## What it costs')[1]!;
    expect(costs).toContain(`${ceilings[name]!.minifiedSizeInBytes / 1000} kB`);
    const names = Object.keys(dependencies);
    const isUmbrella = names.length > 5; // which names its blocks in words
    if (!isUmbrella) for (const dependency of names) expect(costs).toContain(`\`${dependency}\``);
    if (names.length === 0) expect(costs).toContain('depends on nothing');
  });

  it('links to where it is taught, and every link to a file leads somewhere', () => {
    expect(text).toMatch(/\]\(\.\.\/\.\.\/docs\/(?:blocks|tutorials|playground)/);
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      expect(existsSync(join(repository, dirname(file), target!)), target).toBe(true);
    }
  });
});
