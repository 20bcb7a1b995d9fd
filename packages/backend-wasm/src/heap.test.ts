import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap } from './heap.ts';

describe('Heap', () => {
  it('gives pieces that never overlap, and all of the memory back', () => {
    const requests = fc.array(fc.record({ size: fc.nat(200_000), freed: fc.nat(30) }), { maxLength: 60 });
    fc.assert(
      fc.property(requests, (plan) => {
        const memory = new WebAssembly.Memory({ initial: 1, maximum: 1024 });
        const heap = new Heap(memory, 1000);
        const pieces: { start: number; end: number }[] = [];
        for (const { size, freed } of plan) {
          const start = heap.allocate(size);
          const end = start + size;
          expect(start % 64).toBe(0);
          expect(start).toBeGreaterThanOrEqual(1000);
          expect(end).toBeLessThanOrEqual(memory.buffer.byteLength);
          for (const other of pieces) expect(end <= other.start || other.end <= start || size === 0).toBe(true);
          pieces.push({ start, end });
          if (freed < pieces.length) heap.free(pieces.splice(freed, 1)[0]!.start);
        }
        const size = memory.buffer.byteLength;
        for (const { start } of pieces) heap.free(start);
        expect(heap.usedInBytes).toBe(0);
        // One piece again: the whole memory can be had without growing.
        heap.allocate(size - 1024 - 64);
        expect(memory.buffer.byteLength).toBe(size);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('PF-13 reports what does not fit as OOM and stays usable', () => {
    const heap = new Heap(new WebAssembly.Memory({ initial: 1, maximum: 2 }), 0);
    expect(() => heap.allocate(2 ** 33)).toThrow(/^OOM .*4 GB/);
    expect(() => heap.allocate(200_000)).toThrow(/^OOM/);
    expect(heap.allocate(1000)).toBe(0);
  });

  it('PF-13 grows in smaller steps where the engine gives little', () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 200 });
    const grow = memory.grow.bind(memory);
    memory.grow = (pages) => {
      if (pages > 4) throw new RangeError('no memory');
      return grow(pages);
    };
    const heap = new Heap(memory, 0);
    expect(heap.allocate(100_000)).toBe(0);
    expect(() => heap.allocate(1_000_000)).toThrow(/^OOM .*gives no more/);
    expect(heap.allocate(100_000)).toBeGreaterThan(0);
  });
});
