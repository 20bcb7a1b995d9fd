import { expect, it } from 'vitest';
import { cacheGrowth, stepTraffic, visibleKeys } from '../figures/kv-window.ts';
import { memberOf } from '../figures/published-configs.ts';

it('shows the keys of the definition, in both readings of the window', () => {
  for (const window of [1, 3, 8, 30, undefined]) {
    for (const bound of ['exclusive', 'inclusive'] as const) {
      const seen = visibleKeys(12, window, bound);
      for (let i = 0; i < 12; i++) {
        for (let j = 0; j < 12; j++) {
          const inWindow = window === undefined || (bound === 'exclusive' ? i - window < j : i - window <= j);
          expect(seen[i]![j]).toBe(j <= i && inWindow);
        }
      }
    }
  }
});

it('reads the window and holds everything', () => {
  const mini = memberOf('phi-3-mini-4k-instruct');
  const perToken = 2 * 32 * 32 * 96 * 2;
  expect(stepTraffic(mini, 1000)).toEqual({ heldInBytes: 1000 * perToken, readInBytes: 1000 * perToken });
  expect(stepTraffic(mini, 4096)).toEqual({ heldInBytes: 4096 * perToken, readInBytes: 2047 * perToken });
});

it('reads fewer blocks in every second layer of Phi-3-small', () => {
  const small = memberOf('phi-3-small-8k-instruct');
  const length = 8192;
  // 16 dense layers read everything. In the others a key/value head serves four heads, whose vertical blocks lie side by side
  // in a stride of eight: of the 112 blocks that are not local, four in eight are read.
  const positions = 8 * (16 * length + 16 * (1024 + ((128 - 16) / 2) * 64));
  expect(stepTraffic(small, length).readInBytes).toBe(positions * 2 * 128 * 2);
});

it('doubles its room when it runs out', () => {
  const row = 2 * 2 * 8 * 4;
  const steps = cacheGrowth({ numKeyValueHeads: 2, headDim: 8 }, 5, 12);
  expect(steps.map(({ length }) => length)).toEqual(Array.from({ length: 13 }, (_, n) => 5 + n));
  for (const { length, usedInBytes, reservedInBytes } of steps) {
    expect(usedInBytes).toBe(length * row);
    expect(reservedInBytes).toBe((length <= 5 ? 5 : length <= 10 ? 10 : 20) * row);
  }
});
