import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';

const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** The folder of reference data that lies beside the repository; `PHIBLOCKS_SHARED` names another place. */
const sharedRoot = process.env.PHIBLOCKS_SHARED ?? resolve(repositoryRoot, '../shared');

/** Path of a file or folder in the shared reference data. */
export function sharedPath(...parts: string[]): string {
  return join(sharedRoot, ...parts);
}

/**
 * A `describe` that needs shared reference data. Where the data is missing the group shows one skipped test, and the title
 * says why, so that a run without the data cannot be mistaken for a run that checked it.
 *
 * @param title - title of the group
 * @param needs - path inside the shared data that must exist, for example `goldens/phi3-mha-a`
 * @param tests - the group; not called where the data is missing, so it may read the data at once
 */
export function describeWithShared(title: string, needs: string, tests: () => void): void {
  if (existsSync(sharedPath(needs))) {
    describe(title, tests);
  } else {
    // A skipped `describe` would still call `tests` to collect what it skips.
    describe(`${title} (skipped: ${needs} is missing from the shared data)`, () => {
      test.skip('compares with the shared data', () => {});
    });
  }
}
