import type { Backend, Step } from '@phiblocks/tensor';
import { describe, expect, it } from 'vitest';
import { createGpuBackend } from '../src/index.ts';
import { proveBackend } from '../src/prove-backend.ts';

/** A backend one of whose operations is off by a hundredth, as if a driver had compiled its kernel wrong. */
function withWrong(backend: Backend, operation: keyof Step): Backend {
  const wrong = (step: Step): Step =>
    new Proxy(step, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const result = value.apply(target, args);
          return name === operation ? target.multiply(result, 1.01) : result;
        };
      },
    });
  return new Proxy(backend, {
    get(target, name) {
      if (name === 'beginStep') return () => wrong(target.beginStep());
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('proveBackend', () => {
  it('finds nothing wrong with a backend that computes what it is told, and leaves nothing on it', async () => {
    const backend = await createGpuBackend({ mode: 'webasm' });
    expect(backend.liveHandles()).toBe(0);
    expect(backend.counters()).toMatchObject({ launches: 0, uploads: 0, readBacks: 0, heldBytes: 0 });
    expect(await proveBackend(backend)).toBeUndefined();
    expect(backend.liveHandles()).toBe(0);
    expect(backend.counters().heldBytes).toBe(0);
    await backend.dispose();
  });

  it.each([
    ['linear', /^a product with 4-bit weights computed -1\.0\d* instead of -1$/],
    ['embed', /^the embedding of a token computed/],
    ['add', /^an addition computed/],
    ['rmsNorm', /^an RMSNorm computed -3\.0\d* instead of -3$/],
    ['rotate', /^a rotation computed -64\.6\d* instead of -64$/],
    ['attention', /^attention computed 1\.0\d* instead of 1$/],
    ['gatedActivation', /^a gated activation computed/],
  ] as const)('PF-16 names the operation that is wrong: %s', async (operation, message) => {
    const backend = await createGpuBackend({ mode: 'webasm' });
    expect(await proveBackend(withWrong(backend, operation))).toMatch(message);
    expect(backend.liveHandles()).toBe(0);
    await backend.dispose();
  });

  it('PF-16 takes NaN for wrong', async () => {
    const backend = await createGpuBackend({ mode: 'webasm' });
    const { read } = backend;
    const broken = new Proxy(backend, {
      get(target, name) {
        if (name === 'read') {
          return async (...args: Parameters<typeof read>) => {
            const { data, shape } = await target.read(...args);
            return { data: data.fill(Number.NaN), shape };
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    expect(await proveBackend(broken)).toMatch(/NaN instead of/);
    await backend.dispose();
  });
});
