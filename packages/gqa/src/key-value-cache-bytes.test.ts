import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { keyValueCacheBytes } from './key-value-cache-bytes.ts';

const medium = { numLayers: 40, numKeyValueHeads: 10, headDim: 128, bytesPerElement: 2, length: 1 };

describe('keyValueCacheBytes', () => {
  it('by hand: two of everything', () => {
    const size = { numLayers: 2, numKeyValueHeads: 3, headDim: 5, bytesPerElement: 4, length: 7 };
    expect(keyValueCacheBytes(size)).toBe(2 * 2 * 3 * 5 * 4 * 7);
  });

  it('mini has no grouping, so its cache is larger than that of medium', () => {
    expect(keyValueCacheBytes(medium)).toBe(204800);
    const mini = { ...medium, numLayers: 32, numKeyValueHeads: 32, headDim: 96 };
    expect(keyValueCacheBytes(mini)).toBe(393216);
    expect(keyValueCacheBytes({ ...mini, length: 131072 })).toBe(48 * 2 ** 30);
  });

  it('takes fractions of a byte and no tokens, and rejects the rest', () => {
    expect(keyValueCacheBytes({ ...medium, bytesPerElement: 0.5 })).toBe(51200);
    expect(keyValueCacheBytes({ ...medium, length: 0 })).toBe(0);
    const code = (argument: string) => expect.objectContaining({ code: 'ARGUMENT', argument });
    expect(() => keyValueCacheBytes({ ...medium, length: -1 })).toThrow(code('size.length'));
    expect(() => keyValueCacheBytes({ ...medium, headDim: 1.5 })).toThrow(code('size.headDim'));
    expect(() => keyValueCacheBytes({ ...medium, bytesPerElement: 0 })).toThrow(code('size.bytesPerElement'));
    expect(() => keyValueCacheBytes({ ...medium, batch: 2 } as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_UNKNOWN' }),
    );
  });
});

describeWithShared('published members', 'spec/family.json', () => {
  const { members } = JSON.parse(readFileSync(sharedPath('spec', 'family.json'), 'utf8')) as {
    members: { id: string; config: Record<string, number>; derived: Record<string, number> }[];
  };
  it.each(members.map((member) => [member.id, member] as const))('%s', (_, { config, derived }) => {
    const size = {
      numLayers: config.num_hidden_layers!,
      numKeyValueHeads: config.num_key_value_heads!,
      headDim: derived.head_dim!,
      bytesPerElement: 2,
      length: 1,
    };
    expect(keyValueCacheBytes(size)).toBe(derived.kv_cache_bytes_per_token_16bit);
  });
});
