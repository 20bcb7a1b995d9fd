import { importProductionBuild } from '@phiblocks/testing/browser';
import { beforeAll, describe, expect, it } from 'vitest';
import { runEveryOperation } from './run-every-operation.ts';

// Kernels must survive the bundler and the minifier of whoever uses this package: gpu.js reads their source.

type Run = typeof runEveryOperation;

describe('PF-15 a minified production build', () => {
  let built: Run;
  beforeAll(async () => {
    const module = await importProductionBuild('packages/backend-gpu/test/browser/run-every-operation.ts');
    built = module.runEveryOperation as Run;
  });

  it.each(['webgl2', 'webgpu'] as const)(
    '%s: every operation gives the numbers of the development build',
    async (mode) => {
      const [inProduction, inDevelopment] = [await built(mode), await runEveryOperation(mode)];
      expect(Object.keys(inProduction).length).toBe(28);
      expect(inProduction).toEqual(inDevelopment);
      for (const [name, numbers] of Object.entries(inDevelopment)) {
        expect(numbers.every(Number.isFinite) && numbers.some((number) => number !== 0), name).toBe(true);
      }
    },
  );
});
