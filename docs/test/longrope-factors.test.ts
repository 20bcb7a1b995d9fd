import { expect, it } from 'vitest';
import { factorLists } from '../figures/longrope-factors.ts';
import published from '../figures/published-configs.json';
import { memberOf, members } from '../figures/published-configs.ts';

it('shows the lists of the file, untouched', () => {
  const { config } = memberOf('phi-3.5-mini-instruct');
  const { short, long } = factorLists(config, 131072);
  const file = published.members.find(({ id }) => id === 'phi-3.5-mini-instruct')!.config.rope_scaling!;
  expect(short).toEqual(file.short_factor);
  expect(long).toEqual(file.long_factor);
});

it('has closed forms that are those of their papers', () => {
  const { config } = memberOf('phi-3-mini-128k-instruct');
  const [R, L0] = [96, 4096];
  for (const target of [8192, 131072]) {
    const s = target / L0;
    const lists = factorLists(config, target);
    for (let i = 0; i < R / 2; i++) {
      expect(lists.positionInterpolation[i]).toBe(s);
      expect(lists.ntk[i]).toBeCloseTo(s ** ((2 * i) / (R - 2)), 10);
    }
    // YaRN leaves pairs alone that turn often within L0, and interpolates those fully that turn less than once.
    const turns = (i: number): number => L0 / (2 * Math.PI * 10000 ** ((2 * i) / R));
    for (let i = 0; i < R / 2; i++) {
      if (turns(i) > 40) expect(lists.yarn[i], `pair ${i}`).toBe(1);
      if (turns(i) < 0.9) expect(lists.yarn[i], `pair ${i}`).toBeCloseTo(s, 10);
    }
  }
});

it('has lists for every member that has a boundary', () => {
  for (const { config, id } of members.filter((member) => member.config.ropeScaling)) {
    const { short, long, ntk } = factorLists(config, config.maxPositionEmbeddings);
    expect(short, id).toHaveLength(ntk.length);
    expect(long, id).toHaveLength(ntk.length);
  }
});
