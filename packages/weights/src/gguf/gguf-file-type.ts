import { ArgumentError } from '@phiblocks/tensor';

/** What most matrices of a file are stored as, in the names of llama.cpp. */
export type GgufFileType =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q4_K_S'
  | 'Q4_K_M'
  | 'Q5_K_S'
  | 'Q5_K_M'
  | 'Q6_K';

/**
 * The number that stands for a mixture under `general.file_type`. It only tells people what a file is; the tensors say
 * themselves what they are.
 *
 * Source: llama.cpp `include/llama.h`, enum llama_ftype.
 *
 * @throws ArgumentError `ARGUMENT` for a name that is none
 * @example
 * ggufFileTypeId('Q4_K_M'); // => 15
 */
export function ggufFileTypeId(name: GgufFileType): number {
  switch (name) {
    case 'F32':
      return 0;
    case 'F16':
      return 1;
    case 'Q4_0':
      return 2;
    case 'Q4_1':
      return 3;
    case 'Q8_0':
      return 7;
    case 'Q5_0':
      return 8;
    case 'Q5_1':
      return 9;
    case 'Q4_K_S':
      return 14;
    case 'Q4_K_M':
      return 15;
    case 'Q5_K_S':
      return 16;
    case 'Q5_K_M':
      return 17;
    case 'Q6_K':
      return 18;
    case 'BF16':
      return 32;
    default:
      throw new ArgumentError({
        function: 'ggufFileTypeId',
        argument: 'name',
        expected: 'F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M or Q6_K',
        got: name,
      });
  }
}
