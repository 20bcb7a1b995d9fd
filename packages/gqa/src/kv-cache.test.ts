import type { CacheHandle, FloatTensor } from '@phiblocks/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKvCache, type KvCache } from './kv-cache.ts';

const shape = { numLayers: 2, numKeyValueHeads: 2, headDim: 3 };

/** T rows whose elements say which row they are. */
function rows(...marks: number[]): FloatTensor {
  return { data: Float32Array.from(marks.flatMap((mark) => Array(6).fill(mark))), shape: [marks.length, 6] };
}

/** The marks that a layer holds, and a check that values hold the negative ones. */
function marks(cache: KvCache, layer: number): number[] {
  const { data, shape: [S] = [] } = cache.keys(layer);
  expect(cache.values(layer).data).toEqual(data.map((mark) => -mark));
  const found = Array.from({ length: S! }, (_, position) => data[6 * position]!);
  expect([...data]).toEqual(found.flatMap((mark) => Array(6).fill(mark)));
  return found;
}

function append(cache: KvCache, layer: number, ...newMarks: number[]): void {
  cache.append(layer, rows(...newMarks), rows(...newMarks.map((mark) => -mark)));
}

describe('KvCache', () => {
  it('appended positions are there to read at once, and count after the commit', () => {
    const cache = createKvCache(shape);
    append(cache, 0, 1, 2);
    expect(cache.length).toBe(0);
    expect(marks(cache, 0)).toEqual([1, 2]);
    expect(cache.keys(0).shape).toEqual([2, 2, 3]);
    expect(marks(cache, 1)).toEqual([]);
    append(cache, 1, 3, 4);
    cache.commit(2);
    expect(cache.length).toBe(2);
    append(cache, 0, 5);
    append(cache, 1, 6);
    cache.commit(1);
    expect(cache.length).toBe(3);
    expect(marks(cache, 0)).toEqual([1, 2, 5]);
    expect(marks(cache, 1)).toEqual([3, 4, 6]);
  });

  it('takes a projection [T, K·D] and heads [T, K, D] alike, and copies them', () => {
    const cache = createKvCache({ ...shape, numLayers: 1 });
    const keys = { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [1, 2, 3] };
    cache.append(0, keys, { data: keys.data, shape: [1, 6] });
    keys.data.fill(0);
    expect([...cache.keys(0).data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...cache.values(0).data]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('is what the backend contract calls a cache', () => {
    const handle: CacheHandle = createKvCache(shape);
    expect(handle).toMatchObject({ ...shape, length: 0, sizeInBytes: 0 });
  });

  it('a pass that stops half-way leaves the cache as it was, and the next one writes over it', () => {
    const cache = createKvCache(shape);
    for (const layer of [0, 1]) append(cache, layer, 1, 2);
    cache.commit(2);
    append(cache, 0, 8, 9);
    expect(() => cache.commit(2)).toThrow(
      'KV_COMMIT KvCache.commit(numTokens): expected 0, as many positions as were appended to layer 1, got 2',
    );
    expect(cache.length).toBe(2);
    for (const layer of [0, 1]) append(cache, layer, 3);
    cache.commit(1);
    expect(marks(cache, 0)).toEqual([1, 2, 3]);
    expect(marks(cache, 1)).toEqual([1, 2, 3]);
  });

  it('a commit of nothing changes nothing, one of too few or too many is an error', () => {
    const cache = createKvCache(shape);
    cache.commit(0);
    expect(cache.length).toBe(0);
    for (const layer of [0, 1]) append(cache, layer, 1, 2);
    for (const numTokens of [0, 1, 3, Number.NaN]) {
      expect(() => cache.commit(numTokens)).toThrow(expect.objectContaining({ code: 'KV_COMMIT' }));
    }
    cache.commit(2);
    expect(() => cache.commit(2)).toThrow(expect.objectContaining({ code: 'KV_COMMIT' }));
  });

  it('truncate forgets the end and what is not committed, and keeps the room', () => {
    const cache = createKvCache(shape);
    for (const layer of [0, 1]) append(cache, layer, 1, 2, 3);
    cache.commit(3);
    const before = cache.sizeInBytes;
    append(cache, 0, 4);
    cache.truncate(2);
    expect(cache.length).toBe(2);
    expect(marks(cache, 0)).toEqual([1, 2]);
    expect(cache.sizeInBytes).toBeGreaterThanOrEqual(before);
    for (const layer of [0, 1]) append(cache, layer, 7);
    cache.commit(1);
    expect(marks(cache, 1)).toEqual([1, 2, 7]);
    for (const length of [-1, 4, 1.5, Number.NaN]) {
      expect(() => cache.truncate(length)).toThrow(
        expect.objectContaining({ code: 'ARGUMENT', function: 'KvCache.truncate' }),
      );
    }
    cache.truncate(0);
    expect(cache.keys(0).shape).toEqual([0, 2, 3]);
  });

  it('takes exactly the room of a first append, then doubles', () => {
    const cache = createKvCache(shape);
    const bytesPerPosition = 2 * 2 * 6 * 4; // keys and values, two layers, K·D float32
    const add = (...newMarks: number[]) => {
      for (const layer of [0, 1]) append(cache, layer, ...newMarks);
      cache.commit(newMarks.length);
      return cache.sizeInBytes / bytesPerPosition;
    };
    expect(add(1, 2, 3)).toBe(3);
    expect(add(4)).toBe(6);
    expect(add(5, 6)).toBe(6);
    expect(add(...Array(20).fill(7))).toBe(26);
    expect(createKvCache({ ...shape, initialCapacity: 10 }).sizeInBytes).toBe(10 * bytesPerPosition);
  });

  it('a thousand single tokens move each row a constant number of times on average', () => {
    const cache = createKvCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 1 });
    const one = { data: Float32Array.of(1), shape: [1, 1] };
    let growths = 0;
    let size = 0;
    for (let i = 0; i < 1000; i++) {
      cache.append(0, one, one);
      cache.commit(1);
      if (cache.sizeInBytes !== size) growths++;
      size = cache.sizeInBytes;
    }
    expect(growths).toBe(11); // 1, 2, 4, …, 1024
  });

  it('agrees with a list of rows under any sequence of passes, aborted passes and truncations', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('pass' as const), count: fc.integer({ min: 0, max: 7 }) }),
      fc.record({ kind: fc.constant('abort' as const), count: fc.integer({ min: 0, max: 7 }) }),
      fc.record({ kind: fc.constant('truncate' as const), count: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(5), (steps, initialCapacity) => {
        const cache = createKvCache({ ...shape, initialCapacity });
        let model: number[] = [];
        let mark = 1;
        for (const { kind, count } of steps) {
          if (kind === 'truncate') {
            const length = Math.min(count, model.length);
            cache.truncate(length);
            model = model.slice(0, length);
            continue;
          }
          const added = Array.from({ length: count }, () => mark++);
          append(cache, 0, ...added);
          if (kind === 'abort') continue;
          append(cache, 1, ...added);
          cache.commit(count);
          model.push(...added);
          for (const layer of [0, 1]) expect(marks(cache, layer)).toEqual(model);
        }
        expect(cache.length).toBe(model.length);
      }),
      { seed: 9, numRuns: 100 },
    );
  });

  it('rejects shapes that do not fit and layers that do not exist, and stays as it was', () => {
    const cache = createKvCache(shape);
    for (const layer of [0, 1]) append(cache, layer, 1);
    cache.commit(1);
    const shapeError = (argument: string) => expect.objectContaining({ code: 'SHAPE', argument });
    const wide = { data: new Float32Array(7), shape: [1, 7] };
    const swapped = { data: new Float32Array(6), shape: [1, 3, 2] };
    expect(() => cache.append(0, wide, rows(1))).toThrow(shapeError('keys'));
    expect(() => cache.append(0, swapped, rows(1))).toThrow(shapeError('keys'));
    expect(() => cache.append(0, rows(1), wide)).toThrow(shapeError('values'));
    expect(() => cache.append(0, rows(1, 2), rows(1))).toThrow(
      'SHAPE KvCache.append(values): expected 2 tokens, as many as keys, got 1',
    );
    const argumentError = expect.objectContaining({ code: 'ARGUMENT', argument: 'layer' });
    for (const layer of [-1, 2, 0.5, Number.NaN]) {
      expect(() => cache.append(layer, rows(1), rows(1))).toThrow(argumentError);
      expect(() => cache.keys(layer)).toThrow(argumentError);
      expect(() => cache.values(layer)).toThrow(argumentError);
    }
    expect(marks(cache, 0)).toEqual([1]);
  });

  it('rejects impossible sizes before it allocates', () => {
    const rejected = (change: object, code: string) =>
      expect(() => createKvCache({ ...shape, ...change })).toThrow(expect.objectContaining({ code }));
    for (const count of [0, -1, 1.5, Number.NaN, 2 ** 40]) {
      for (const field of ['numLayers', 'numKeyValueHeads', 'headDim']) rejected({ [field]: count }, 'ARGUMENT');
    }
    for (const initialCapacity of [-1, 0.5, 1e12]) rejected({ initialCapacity }, 'ARGUMENT');
    rejected({ capacity: 3 }, 'OPTION_UNKNOWN');
    // 2^24 positions of 2^20 numbers: beyond what any engine gives a typed array.
    rejected({ numKeyValueHeads: 1024, headDim: 1024, initialCapacity: 2 ** 24 }, 'OOM');
  });
});
