import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Tests wait for other processes more than they compute, and the default of one core less is one of two.
    maxWorkers: '100%',
    projects: ['packages/*', 'apps/*', 'internal/*', 'docs'],
  },
});
