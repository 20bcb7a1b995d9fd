import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { rotaryConfigOf } from '../test/golden-config.ts';
import { attentionFactor } from './attention-factor.ts';
import type { RopeScaling, RotaryConfig } from './config.ts';

function config(
  original: number,
  max: number,
  scaling: Partial<RopeScaling> = {},
): RotaryConfig & { ropeScaling: RopeScaling } {
  return {
    headDim: 4,
    ropeTheta: 10000,
    maxPositionEmbeddings: max,
    originalMaxPositionEmbeddings: original,
    ropeScaling: { type: 'longrope', shortFactor: [1, 1], longFactor: [1, 2], ...scaling },
  };
}

describe('attentionFactor', () => {
  it('is sqrt(1 + ln s / ln L0) for longrope and su, with either list', () => {
    for (const type of ['longrope', 'su'] as const) {
      for (const list of ['short', 'long'] as const) {
        // 4096 = 2^12, 131072 = 2^17: sqrt(1 + 5/12). 8192 = 2^13: sqrt(1 + 4/13).
        expect(attentionFactor(config(4096, 131072, { type }), list)).toBeCloseTo(Math.sqrt(17 / 12), 14);
        expect(attentionFactor(config(8192, 131072, { type }), list)).toBeCloseTo(Math.sqrt(17 / 13), 14);
      }
    }
  });

  it('gives the published figures', () => {
    expect(attentionFactor(config(4096, 131072), 'short')).toBeCloseTo(1.1902380714238083, 15);
    expect(attentionFactor(config(8192, 131072), 'long')).toBeCloseTo(1.1435437497937313, 15);
  });

  it('is 0.1 ln s + 1 for yarn', () => {
    expect(attentionFactor(config(4096, 131072, { type: 'yarn' }), 'long')).toBeCloseTo(1 + 0.1 * Math.log(32), 15);
  });

  it('is 1 when nothing is extended, and without a list', () => {
    for (const type of ['longrope', 'yarn'] as const) {
      expect(attentionFactor(config(4096, 4096, { type }), 'long')).toBe(1);
      expect(attentionFactor(config(4096, 2048, { type }), 'short')).toBe(1);
    }
    expect(attentionFactor(config(4096, 131072), 'none')).toBe(1);
  });

  it('takes the number of the file for its list, and the formula for the other', () => {
    const both = config(4096, 131072, { shortMscale: 1.1, longMscale: 1.3 });
    expect(attentionFactor(both, 'short')).toBe(1.1);
    expect(attentionFactor(both, 'long')).toBe(1.3);
    const one = config(4096, 131072, { longMscale: 1.3 });
    expect(attentionFactor(one, 'short')).toBeCloseTo(Math.sqrt(17 / 12), 14);
    expect(attentionFactor(one, 'long')).toBe(1.3);
  });

  it('rejects a list where there is none', () => {
    const plain = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
    expect(() => attentionFactor(plain, 'short')).toThrow(expect.objectContaining({ code: 'LR_NO_FACTORS' }));
  });
});

describeWithShared('published members', 'spec/family.json', () => {
  const { members } = JSON.parse(readFileSync(sharedPath('spec', 'family.json'), 'utf8')) as {
    members: { id: string; config: Record<string, unknown>; derived: Record<string, number | undefined> }[];
  };
  const scaled = members.filter((member) => member.derived.rope_attention_factor !== undefined);
  it('there are such members', () => expect(scaled.length).toBeGreaterThanOrEqual(7));
  it.each(scaled.map((member) => [member.id, member] as const))('%s', (_, member) => {
    const rotary = rotaryConfigOf(member.config);
    expect(attentionFactor(rotary, 'short')).toBeCloseTo(member.derived.rope_attention_factor!, 14);
    expect(attentionFactor(rotary, 'long')).toBeCloseTo(member.derived.rope_attention_factor!, 14);
  });
});
