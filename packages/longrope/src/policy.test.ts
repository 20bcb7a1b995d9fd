import { readFileSync } from 'node:fs';
import { describeWithShared, loadGolden, sharedPath } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { languageCases, rotaryConfigOf, runsOf } from '../test/golden-config.ts';
import type { RotaryConfig } from './config.ts';
import { crossesBoundary, type RopePolicy, selectFactorList } from './policy.ts';

const plain: RotaryConfig = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
const scaled: RotaryConfig = {
  ...plain,
  originalMaxPositionEmbeddings: 32,
  ropeScaling: { type: 'longrope', shortFactor: [1, 1], longFactor: [1, 2] },
};
const policies: RopePolicy[] = ['reference', 'rerotate', 'capacity', 'short', 'long'];

describe('selectFactorList', () => {
  it.each(['reference', 'rerotate'] as const)('%s follows the length: short up to L0, long above', (policy) => {
    const lists = [0, 1, 31, 32, 33, 4096].map((length) => selectFactorList(scaled, policy, { length }));
    expect(lists).toEqual(['short', 'short', 'short', 'short', 'long', 'long']);
  });

  it('reference does not care about the capacity', () => {
    expect(selectFactorList(scaled, 'reference', { length: 8, capacity: 1000 })).toBe('short');
  });

  it('capacity decides once, whatever the length', () => {
    for (const length of [1, 31]) {
      expect(selectFactorList(scaled, 'capacity', { length, capacity: 31 })).toBe('short');
      expect(selectFactorList(scaled, 'capacity', { length, capacity: 32 })).toBe('short');
      expect(selectFactorList(scaled, 'capacity', { length, capacity: 33 })).toBe('long');
    }
  });

  it('short and long are fixed', () => {
    for (const length of [1, 32, 33]) {
      expect(selectFactorList(scaled, 'short', { length })).toBe('short');
      expect(selectFactorList(scaled, 'long', { length })).toBe('long');
    }
  });

  it('is none without scaling, under every policy', () => {
    for (const policy of policies) {
      expect(selectFactorList(plain, policy, { length: 4000, capacity: 4096 })).toBe('none');
    }
  });

  it('rejects a length above the capacity, whose list may be the wrong one', () => {
    expect(() => selectFactorList(scaled, 'capacity', { length: 33, capacity: 32 })).toThrow(
      'LR_CAPACITY selectFactorList(lengths.length): expected at most 32, the capacity, got 33',
    );
  });

  it('rejects an unknown policy, a missing capacity and lengths that are none', () => {
    const code = expect.objectContaining({ code: 'ARGUMENT' });
    expect(() => selectFactorList(scaled, 'auto' as never, { length: 1 })).toThrow(code);
    expect(() => selectFactorList(scaled, 'capacity', { length: 1 })).toThrow(code);
    for (const length of [-1, 1.5, Number.NaN, 2 ** 24 + 1]) {
      expect(() => selectFactorList(scaled, 'reference', { length })).toThrow(code);
    }
    expect(() => selectFactorList(scaled, 'reference', { length: 1, limit: 2 } as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_UNKNOWN' }),
    );
  });
});

describe('crossesBoundary', () => {
  it('reference runs again when the list changes, in either direction', () => {
    expect(crossesBoundary(scaled, 'reference', 31, 32)).toBe(false);
    expect(crossesBoundary(scaled, 'reference', 32, 33)).toBe(true);
    expect(crossesBoundary(scaled, 'reference', 33, 34)).toBe(false);
    expect(crossesBoundary(scaled, 'reference', 40, 20)).toBe(true);
  });

  it('an empty cache has nothing to drop', () => {
    expect(crossesBoundary(scaled, 'reference', 0, 33)).toBe(false);
    expect(crossesBoundary(scaled, 'reference', 0, 8)).toBe(false);
  });

  it('no other policy and no model without scaling ever asks for it', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(100), (from, to) => {
        for (const policy of policies.slice(1)) expect(crossesBoundary(scaled, policy, from, to)).toBe(false);
        expect(crossesBoundary(plain, 'reference', from, to)).toBe(false);
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('under reference it is true exactly when the lists differ', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 100 }), (from, to) => {
        expect(crossesBoundary(scaled, 'reference', from, to)).toBe(from > 32 !== to > 32);
      }),
      { seed: 2, numRuns: 200 },
    );
  });

  it('rejects an unknown policy and lengths that are none', () => {
    const code = expect.objectContaining({ code: 'ARGUMENT', function: 'crossesBoundary' });
    expect(() => crossesBoundary(scaled, 'never' as never, 1, 2)).toThrow(code);
    expect(() => crossesBoundary(scaled, 'reference', -1, 2)).toThrow(code);
    expect(() => crossesBoundary(scaled, 'reference', 1, Number.NaN)).toThrow(code);
  });
});

describeWithShared('published members', 'spec/family.json', () => {
  const { members } = JSON.parse(readFileSync(sharedPath('spec', 'family.json'), 'utf8')) as {
    members: { id: string; config: Record<string, unknown> }[];
  };
  it('mini-128k: 4096 takes the short list, 4097 the long one', () => {
    const config = rotaryConfigOf(members.find((member) => member.id === 'phi-3-mini-128k-instruct')!.config);
    expect(selectFactorList(config, 'reference', { length: 4095 })).toBe('short');
    expect(selectFactorList(config, 'reference', { length: 4096 })).toBe('short');
    expect(selectFactorList(config, 'reference', { length: 4097 })).toBe('long');
    expect(crossesBoundary(config, 'reference', 4096, 4097)).toBe(true);
  });
});

describeWithShared('the list of every golden prompt', 'goldens', () => {
  for (const name of languageCases) {
    it(name, () => {
      const golden = loadGolden(name);
      const config = rotaryConfigOf(golden.config!);
      for (const run of runsOf(golden)) {
        expect(selectFactorList(config, 'reference', { length: run.length }), run.name).toBe(run.list);
      }
    });
  }
});
