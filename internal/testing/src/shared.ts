import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';

const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** The folder of reference data that lies beside the repository; `PHIBLOCKS_SHARED` names another place. */
const sharedRoot = process.env.PHIBLOCKS_SHARED ?? resolve(repositoryRoot, '../shared');

/** Path of a file or folder in the shared reference data. */
export function sharedPath(...parts: string[]): string {
  return join(sharedRoot, ...parts);
}

/**
 * A `describe` that needs shared reference data. Where the data is missing the tests are skipped, and the title says so,
 * so that a run without them cannot be mistaken for a run that checked them.
 *
 * @param title - title of the group
 * @param needs - path inside the shared data that must exist, for example `goldens/phi3-mha-a`
 * @param tests - the group
 */
export function describeWithShared(title: string, needs: string, tests: () => void): void {
  const present = existsSync(sharedPath(needs));
  describe.skipIf(!present)(present ? title : `${title} (skipped: ${needs} is missing from the shared data)`, tests);
}
