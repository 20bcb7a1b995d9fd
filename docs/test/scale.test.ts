import { createRandom } from '@phiblocks/sampler';
import { describe, expect, it } from 'vitest';
import {
  byteUnitOf,
  formatBytes,
  formatSignificant,
  nextTick,
  scaleOf,
  shortNumber,
  ticksOf,
} from '../.vitepress/theme/components/scale.ts';

const labels = (min: number, max: number, isLog?: boolean) => ticksOf(min, max, isLog).map(({ label }) => label);

describe('the axes of the plots', () => {
  it('by hand: an axis ends at the first tick that no value is above', () => {
    expect(nextTick(0, 1.42)).toBe(1.5);
    expect(nextTick(0, 1)).toBe(1);
    expect(nextTick(-0.2, 0.21)).toBeCloseTo(0.3, 12);
    expect(nextTick(6.28, 52_000, true)).toBe(100_000);
    expect(nextTick(1, 64, true)).toBe(100);
    expect(nextTick(1, 1000, true)).toBe(1000);
  });

  it('a linear axis up to the next tick has a tick at its end, and no more than six steps', () => {
    const random = createRandom(1);
    for (let n = 0; n < 2000; n++) {
      const max = 10 ** (18 * random.nextFloat() - 6);
      const end = nextTick(0, max);
      const ticks = ticksOf(0, end);
      expect(end).toBeGreaterThanOrEqual(max * (1 - 1e-9));
      expect(ticks.at(-1)!.value / end).toBeCloseTo(1, 9);
      expect(ticks.length).toBeLessThanOrEqual(7);
    }
  });

  it('maps both ends, linearly and by logarithms', () => {
    const linear = scaleOf(0, 10, 100, 0);
    expect([0, 5, 10].map(linear.at)).toEqual([100, 50, 0]);
    const log = scaleOf(1, 100, 0, 10, true);
    expect([1, 10, 100].map(log.at)).toEqual([0, 5, 10]);
  });

  it('labels have the minus of print, thousands and no e', () => {
    expect(labels(-0.2, 0.2)).toEqual(['−0.2', '−0.1', '0', '0.1', '0.2']);
    expect(labels(1, 100_000, true)).toEqual(['1', '10', '100', '1k', '10k', '100k']);
    expect(labels(0, 20_000)).toEqual(['0', '5k', '10k', '15k', '20k']);
    expect(labels(0, 5000)).toEqual(['0', '1,000', '2,000', '3,000', '4,000', '5,000']);
    expect([1500, 1.5e6, -2e9, 5e-4, 2e-5].map(shortNumber)).toEqual(['1,500', '1.5M', '−2G', '0.0005', '2 × 10⁻⁵']);
  });
});

describe('numbers in the text of a figure', () => {
  it('significant digits', () => {
    expect([0, 0.01048014, -0.0032196, 1.456e-10, 12.345].map((value) => formatSignificant(value, 3))).toEqual([
      '0',
      '0.0105',
      '−0.00322',
      '1.46 × 10⁻¹⁰',
      '12.3',
    ]);
  });

  it('bytes, in their own unit or in one that is given', () => {
    expect([0, 1023, 1024, 402_653_184, 1.5 * 2 ** 30].map((bytes) => formatBytes(bytes))).toEqual([
      '0 B',
      '1020 B',
      '1 KiB',
      '384 MiB',
      '1.5 GiB',
    ]);
    expect(byteUnitOf(2 ** 40)).toEqual({ name: 'TiB', sizeInBytes: 2 ** 40 });
    expect(formatBytes(402_653_184, byteUnitOf(2 ** 30))).toBe('0.375 GiB');
  });
});
