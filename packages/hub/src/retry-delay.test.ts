import { expect, it } from 'vitest';
import { parseRetryAfterMs, retryDelayMs } from './retry-delay.ts';

const now = Date.UTC(2026, 10, 21, 12, 0, 0);

it('doubles from half a second up to half a minute, less a random half', () => {
  const delays = (random: number) =>
    [0, 1, 2, 5, 6, 40].map((attempt) => retryDelayMs(attempt, null, { now: () => now, random: () => random }));
  expect(delays(0)).toEqual([500, 1000, 2000, 16_000, 30_000, 30_000]);
  expect(delays(1)).toEqual([250, 500, 1000, 8000, 15_000, 15_000]);
});

it('waits as long as the server asks, never less', () => {
  for (const random of [0, 0.999]) {
    expect(retryDelayMs(0, '3', { now: () => now, random: () => random })).toBeGreaterThanOrEqual(3000);
  }
});

it.each([
  ['0', 0],
  [' 120 ', 120_000],
  ['Sat, 21 Nov 2026 12:00:30 GMT', 30_000],
  ['Sat, 21 Nov 2026 11:00:00 GMT', 0],
  ['soon', undefined],
  ['99999999999999', undefined],
  [null, undefined],
])('Retry-After %j is %s ms', (header, expected) => {
  expect(parseRetryAfterMs(header, now)).toBe(expected);
});
