import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import published from '../figures/published-configs.json';
import { memberOf, members } from '../figures/published-configs.ts';

it('is named by the runtime as its repository is', () => {
  for (const member of members) expect(member.repository).toBe(`microsoft/${member.name}`);
});

it('knows which member it is asked for, and no other', () => {
  expect(memberOf('phi-3-mini-4k-instruct').config.slidingWindow).toBe(2047);
  expect(() => memberOf('phi-3-large')).toThrow(RangeError);
});

it('has warnings only about what nobody reads', () => {
  for (const { id, config } of members) {
    for (const warning of config.warnings)
      expect(warning, id).toMatch(/not read|ignored|unknown|unread|does not read/i);
  }
});

describeWithShared('the published configurations', 'spec/family.json', () => {
  const family = JSON.parse(readFileSync(sharedPath('spec/family.json'), 'utf8')) as {
    members: {
      id: string;
      hf_repo: string;
      config: Record<string, unknown>;
      generation_config: { eos_token_id: number[] | number };
    }[];
  };

  it('are those of the shared reference data, field by field', () => {
    expect(published.members.map(({ id }) => id)).toEqual(family.members.map(({ id }) => id));
    for (const [index, { config, repository }] of published.members.entries()) {
      const recorded = family.members[index]!;
      expect(repository).toBe(recorded.hf_repo);
      for (const [key, value] of Object.entries(config))
        expect(value, `${recorded.id}: ${key}`).toEqual(recorded.config[key]);
    }
  });
});
