import { Phi3Error } from '@phiblocks/tensor';
import type { HubErrorCode } from './error-codes.ts';
import { checkRepositoryId } from './names.ts';

/** A model by name: `owner/name`, or `owner/name:choice` for one of several GGUF files. */
export interface ModelReference {
  /** Id of the repository, `owner/name`. */
  readonly repository: string;
  /** Which GGUF file: part of its name such as `Q4_K_M`, or its whole name. */
  readonly choice: string | undefined;
}

/**
 * Reads `owner/name` or `owner/name:choice`.
 *
 * @throws Phi3Error `HUB_NAME` for an id that the hub would not give
 * @example
 * parseModelReference('bartowski/Phi-3.5-mini-instruct-GGUF:Q4_K_M').choice; // => 'Q4_K_M'
 */
export function parseModelReference(model: string): ModelReference {
  const colon = model.indexOf(':');
  const repository = checkRepositoryId(colon < 0 ? model : model.slice(0, colon));
  const choice = colon < 0 ? undefined : model.slice(colon + 1);
  if (choice === '') {
    throw new Phi3Error<HubErrorCode>({
      code: 'HUB_NAME',
      function: 'parseModelReference',
      argument: 'model',
      expected: 'a choice behind the colon, for example :Q4_K_M',
      got: model,
    });
  }
  return { repository, choice };
}

/**
 * Whether a text names a model on the hub rather than a file: `owner/name`, also with a choice behind a colon. A program that
 * takes both looks for an existing path first, for `owner/name` is a path too.
 *
 * @example
 * looksLikeModelReference('microsoft/Phi-3-mini-4k-instruct'); // => true
 * looksLikeModelReference('./checkpoints/mini'); // => false
 */
export function looksLikeModelReference(text: string): boolean {
  const [repository = ''] = text.split(':', 1);
  // A name that ends as a file does is a file: nobody's repository is asked for a misspelt path.
  if (!repository.includes('/') || /\.(?:gguf|safetensors|json|tiktoken|model|bin)$/i.test(repository)) return false;
  try {
    parseModelReference(text);
    return true;
  } catch {
    return false;
  }
}
