import { ArgumentError } from '@phiblocks/tensor';
import { tokenizerError } from './errors.ts';

/** Largest file accepted; the published ones are under 16 MiB, and V8 cannot hold a string of 512 MiB. */
export const largestFile = 128 * 2 ** 20;

/** Largest vocabulary accepted; that of Phi-4-mini has 200,064 rows. */
export const largestVocabulary = 2_000_000;

/**
 * Text of a file given as a string or as UTF-8 bytes.
 *
 * @throws Phi3Error `TK_TOO_LARGE`, `TK_JSON` for bytes that are not UTF-8
 */
export function readFileText(functionName: string, argument: string, file: string | Uint8Array): string {
  if (typeof file !== 'string' && !(file instanceof Uint8Array))
    throw new ArgumentError({ function: functionName, argument, expected: 'text or bytes', got: file });
  if (file.length > largestFile)
    throw tokenizerError({
      code: 'TK_TOO_LARGE',
      function: functionName,
      argument,
      expected: `at most ${largestFile} bytes`,
      got: file.length,
    });
  if (typeof file === 'string') return file;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file);
  } catch (cause) {
    throw tokenizerError({ code: 'TK_JSON', function: functionName, argument, expected: 'UTF-8', cause });
  }
}
