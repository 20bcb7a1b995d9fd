import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { kthLargest } from './kth-largest.ts';
import { selectByWeight } from './select-by-weight.ts';

const orders: Record<string, (numbers: Float32Array) => Float32Array> = {
  shuffled: (numbers) => numbers,
  ascending: (numbers) => numbers.slice().sort(),
  descending: (numbers) => numbers.slice().sort().reverse(),
  // + 0 turns -0 into 0: the two are equal, but the test would tell them apart.
  'with ties': (numbers) => numbers.map((number) => Math.round(number * 2) + 0),
};

for (const [name, order] of Object.entries(orders)) {
  const values = order(createSeededRandom(9).normals(777));
  const sorted = Array.from(values).sort((a, b) => b - a);

  describe(`numbers ${name}`, () => {
    it('kthLargest is what sorting finds, for every k', () => {
      const heap = new Float64Array(values.length);
      for (let k = 1; k <= values.length; k++) expect(kthLargest(values, k, heap), `k ${k}`).toBe(sorted[k - 1]);
    });

    it('selectByWeight is what a walk over sorted numbers finds', () => {
      // Whole weights below 2^53 sum exactly in any order.
      const weightOf = (value: number) => 1 + (Math.abs(Math.round(value * 100)) % 7);
      const distinct = [...new Set(sorted)].map((value) => ({
        value,
        weight: sorted.filter((other) => other === value).length * weightOf(value),
      }));
      const total = distinct.reduce((sum, { weight }) => sum + weight, 0);
      for (let target = 1; target <= total + 20; target += 13) {
        let above = 0;
        let rank = 0;
        while (rank < distinct.length - 1 && above + distinct[rank]!.weight < target) above += distinct[rank++]!.weight;
        const weights = Float64Array.from(values, weightOf);
        const found = selectByWeight(Float64Array.from(values), weights, values.length, target);
        expect(found.threshold, `target ${target}`).toBe(distinct[rank]!.value);
        expect(found.weightAbove, `target ${target}`).toBe(above);
      }
    });
  });
}
