import { defineConfig } from 'vitest/config';

/** What every package tests with: tests beside the source and in `test/`, seeded and without network. */
export function packageTests(name: string) {
  return defineConfig({
    test: {
      name,
      include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
      benchmark: { include: ['src/**/*.bench.ts', 'bench/**/*.bench.ts'] },
      testTimeout: 60_000,
    },
  });
}
