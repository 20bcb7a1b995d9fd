import { describe, expect, it } from 'vitest';
import { createChunkSize } from './chunk-size.ts';

describe('createChunkSize', () => {
  it('halves while parts take long, down to 8, and goes back to what was asked for', () => {
    const size = createChunkSize(64);
    const seen: number[] = [];
    for (const partMs of [99, 101, 300, 1000, 1000, 50, 30, 30, 30, 1]) {
      size.adapt(partMs, size.tokens);
      seen.push(size.tokens);
    }
    expect(seen).toEqual([64, 32, 16, 8, 8, 8, 16, 32, 64, 64]);
  });

  it('learns nothing from a shorter pass, such as the end of a prompt or one token', () => {
    const size = createChunkSize(64);
    size.adapt(500, 3);
    expect(size.tokens).toBe(64);
    size.adapt(500, 64);
    size.adapt(1, 1);
    expect(size.tokens).toBe(32);
  });

  it.each([1, 5, 8])('a size of %i is never passed, nor lowered', (most) => {
    const size = createChunkSize(most);
    size.adapt(1000, most);
    expect(size.tokens).toBe(most);
    size.adapt(0, most);
    expect(size.tokens).toBe(most);
  });
});
