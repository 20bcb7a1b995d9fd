import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import { cacheOfMembers, cacheWithGroups, possibleGroups } from '../figures/gqa-cache.ts';
import { memberOf } from '../figures/published-configs.ts';

it('gives mini 1.5 GiB at its full context, by hand', () => {
  const mini = cacheOfMembers(4096, 2).find(({ member }) => member.id === 'phi-3-mini-4k-instruct')!;
  expect(mini.sizeInBytes).toBe(2 * 32 * 32 * 96 * 2 * 4096);
  expect(mini.ungroupedInBytes).toBe(mini.sizeInBytes);
});

it('leaves out members whose context is shorter', () => {
  const names = cacheOfMembers(8192, 2)
    .filter(({ sizeInBytes }) => sizeInBytes === undefined)
    .map(({ member }) => member.id);
  expect(names).toEqual(['phi-3-mini-4k-instruct', 'phi-3-medium-4k-instruct']);
});

it('is proportional to the number of key/value heads', () => {
  const medium = memberOf('phi-3-medium-4k-instruct');
  expect(possibleGroups(medium)).toEqual([1, 2, 4, 5, 8, 10, 20, 40]);
  expect(cacheWithGroups(medium, 40, 1000, 4)).toBe(40 * cacheWithGroups(medium, 1, 1000, 4));
});

describeWithShared('the cache of a token', 'spec/family.json', () => {
  const family = JSON.parse(readFileSync(sharedPath('spec/family.json'), 'utf8')) as {
    members: { id: string; derived: { kv_cache_bytes_per_token_16bit: number; query_heads_per_kv_head: number } }[];
  };

  it('is the recorded one, for every member', () => {
    const sizes = cacheOfMembers(1, 2);
    expect(sizes.map(({ member }) => member.id)).toEqual(family.members.map(({ id }) => id));
    for (const [index, { derived }] of family.members.entries()) {
      const { sizeInBytes, ungroupedInBytes } = sizes[index]!;
      expect(sizeInBytes).toBe(derived.kv_cache_bytes_per_token_16bit);
      expect(ungroupedInBytes).toBe(derived.kv_cache_bytes_per_token_16bit * derived.query_heads_per_kv_head);
    }
  });
});
