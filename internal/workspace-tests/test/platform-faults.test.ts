import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../src/workspace.ts';

// docs/platform-faults.md lists what platforms lack, with the tests. Every id has a row, and every test that a row names has it.

const docs = join(repositoryRoot, 'docs');
const rows = readFileSync(join(docs, 'platform-faults.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, id] = /^\| (PF-\d\d) \|/.exec(line) ?? [];
    return id === undefined ? [] : [{ id, files: [...line.matchAll(/\]\(([^)]+)\)/g)].map(([, file]) => file!) }];
  });

test('every fault from PF-01 to PF-20 has a row', () => {
  expect(rows.map(({ id }) => id)).toEqual(
    Array.from({ length: 20 }, (_, i) => `PF-${String(i + 1).padStart(2, '0')}`),
  );
});

test.each(rows)('$id is in the title of a test of each file that is named', ({ id, files }) => {
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const path = join(docs, file);
    expect(existsSync(path), file).toBe(true);
    expect(readFileSync(path, 'utf8'), file).toMatch(new RegExp(`['"\`][^'"\`\\n]*${id}\\b`));
  }
});
