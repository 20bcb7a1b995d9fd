import { ArgumentError, type WeightFormat } from '@phiblocks/tensor';
import { q4_0 } from './formats/q4-0.ts';
import { q4_1 } from './formats/q4-1.ts';
import { q4_k } from './formats/q4-k.ts';
import { q5_0 } from './formats/q5-0.ts';
import { q5_1 } from './formats/q5-1.ts';
import { q5_k } from './formats/q5-k.ts';
import { q6_k } from './formats/q6-k.ts';
import { q8_0 } from './formats/q8-0.ts';
import type { BlockFormat } from './quantized-block.ts';

/** The block format of that name; undefined for the float formats. @internal */
export function blockFormatOf(functionName: string, format: WeightFormat): BlockFormat | undefined {
  switch (format) {
    case 'F32':
    case 'F16':
    case 'BF16':
      return undefined;
    case 'Q8_0':
      return q8_0;
    case 'Q4_0':
      return q4_0;
    case 'Q4_1':
      return q4_1;
    case 'Q5_0':
      return q5_0;
    case 'Q5_1':
      return q5_1;
    case 'Q4_K':
      return q4_k;
    case 'Q5_K':
      return q5_k;
    case 'Q6_K':
      return q6_k;
    default:
      throw new ArgumentError({
        function: functionName,
        argument: 'format',
        expected: 'F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K',
        got: format,
      });
  }
}
