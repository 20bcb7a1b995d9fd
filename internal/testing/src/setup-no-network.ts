import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll } from 'vitest';
import { markTestFile, networkAttempts } from './network-guard.ts';

markTestFile();
// A file begins without the permission that another one in the same worker may have taken.
delete process.env.PHIBLOCKS_TEST_LOOPBACK;
// What a test starts is guarded as it is.
const guard = pathToFileURL(fileURLToPath(new URL('no-network.mjs', import.meta.url))).href;
const flags = process.env.NODE_OPTIONS ?? '';
if (!flags.includes(guard)) process.env.NODE_OPTIONS = `${flags} --import=${guard}`.trim();

afterAll(() => {
  const attempts = networkAttempts();
  if (attempts.length > 0) throw attempts[0];
});
