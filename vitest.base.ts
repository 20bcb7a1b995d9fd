import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What every package tests with: tests beside the source and in `test/`, seeded and without network. */
export function packageTests(name: string) {
  return defineConfig({
    test: {
      name,
      include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      // `vitest.browser.config.ts` runs these.
      exclude: ['**/node_modules/**', 'test/browser*/**'],
      benchmark: { include: ['src/**/*.bench.ts', 'bench/**/*.bench.ts'] },
      testTimeout: 60_000,
      // Nothing reaches the network unless a test asks, and then only the loopback interface.
      setupFiles: [fileURLToPath(new URL('internal/testing/src/setup-no-network.ts', import.meta.url))],
    },
  });
}
