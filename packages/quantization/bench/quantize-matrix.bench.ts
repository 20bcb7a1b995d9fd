import type { WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import { bench, describe } from 'vitest';
import { quantizeMatrix } from '../src/index.ts';

// The down projection of Phi-3-mini has 16 times as many weights.
const tensor = { data: createSeededRandom(1).normals(192 * 8192, 0.02), shape: [192, 8192] };
const formats: WeightFormat[] = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'];

describe.each([false, true])('192 × 8192, search: %s', (search) => {
  for (const format of formats) {
    bench(format, () => void quantizeMatrix(tensor, format, { search }), { iterations: 3, time: 0, warmupTime: 0 });
  }
});
