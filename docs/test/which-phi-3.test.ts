import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import published from '../figures/published-configs.json';
import { members } from '../figures/published-configs.ts';
import { identifyConfig, memberTable } from '../figures/which-phi-3.ts';

const table = new Map(memberTable().map((row) => [row.label, row]));

describe('the table of members', () => {
  it('has a value for every member in every row', () => {
    for (const { label, values } of table.values()) {
      expect(values, label).toHaveLength(members.length);
      for (const value of values) expect(value, label).toMatch(/\S/);
    }
  });

  it('says which rows differ', () => {
    expect(table.get('Hidden size')!.differs).toBe(true);
    for (const { values, differs } of table.values()) expect(differs).toBe(values.some((value) => value !== values[0]));
  });
});

describeWithShared('the table of members', 'spec/family.json', () => {
  interface Recorded {
    id: string;
    config: Record<string, number | boolean | null>;
    derived: {
      head_dim: number;
      rotary_dim: number;
      kv_cache_bytes_per_token_16bit: number;
      rope_attention_factor?: number;
    };
    generation_config: { eos_token_id: number | number[]; verified: boolean };
  }
  const family = JSON.parse(readFileSync(sharedPath('spec/family.json'), 'utf8')) as { members: Recorded[] };
  const numberIn = (label: string, column: number): number =>
    Number(table.get(label)!.values[column]!.replaceAll(',', '').replace(/ .*/, ''));

  it.each(family.members.map((member, column) => [member.id, member, column] as const))(
    'is right about %s',
    (_id, member, column) => {
      const { config, derived, generation_config: generation } = member;
      expect(numberIn('Layers', column)).toBe(config.num_hidden_layers);
      expect(numberIn('Hidden size', column)).toBe(config.hidden_size);
      expect(numberIn('Query heads', column)).toBe(config.num_attention_heads);
      expect(numberIn('Key/value heads', column)).toBe(config.num_key_value_heads);
      expect(numberIn('Components of a head', column)).toBe(derived.head_dim);
      expect(numberIn('of which rotate', column)).toBe(derived.rotary_dim);
      expect(numberIn('Vocabulary', column)).toBe(config.vocab_size);
      expect(numberIn('Context', column)).toBe(config.max_position_embeddings);
      expect(numberIn('Cache per token, 16 bit', column)).toBe(derived.kv_cache_bytes_per_token_16bit / 1024);
      if (derived.rope_attention_factor !== undefined) {
        expect(numberIn('Attention factor', column)).toBeCloseTo(derived.rope_attention_factor, 4);
      }
      if (generation.verified) {
        const ids = table.get('Stop ids')!.values[column]!.split(', ').map(Number);
        expect([...ids].sort()).toEqual([...(generation.eos_token_id as number[])].sort());
      }
    },
  );
});

describe('identifyConfig', () => {
  it('recognises every published configuration', () => {
    for (const [index, { config }] of published.members.entries()) {
      if (!members[index]!.hasFactorLists) continue;
      expect(identifyConfig(JSON.stringify(config))).toMatchObject({ kind: 'member', name: members[index]!.name });
    }
  });

  it('tells a relative from a member', () => {
    const config = { ...published.members[0]!.config, num_hidden_layers: 2 };
    expect(identifyConfig(JSON.stringify(config))).toMatchObject({ kind: 'relative' });
  });

  it('says what is wrong with anything else', () => {
    for (const text of ['', '{', '[]', '{"model_type":"llama"}', '<!doctype html>']) {
      const found = identifyConfig(text);
      expect(found.kind).toBe('error');
      if (found.kind === 'error') expect(found.code).toMatch(/^[A-Z_]+$/);
    }
  });
});
