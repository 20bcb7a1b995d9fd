import { gpuErrorCodes } from '@phiblocks/backend-gpu';
import { runtimeErrorCodes } from '@phiblocks/runtime';
import { isPhi3Error } from '@phiblocks/tensor';
import { configErrorCodes, ggufErrorCodes, weightsErrorCodes } from '@phiblocks/weights';
import { make } from './dom.ts';

const meanings = new Map<string, string>(
  [gpuErrorCodes, configErrorCodes, ggufErrorCodes, weightsErrorCodes, runtimeErrorCodes].flatMap((table) =>
    Object.entries(table),
  ),
);

// What this page does about it.
meanings.set(
  'GPU_DEVICE_LOST',
  'The browser took the graphics device away. The model is loaded again; what is written stays.',
);

/** What happened, in a sentence, and below it what exactly. */
export function errorInWords(error: unknown): { readonly sentence: string; readonly details: string } {
  const details = error instanceof Error ? error.message : String(error);
  if (!isPhi3Error(error)) return { sentence: 'Something went wrong that this page does not know.', details };
  return { sentence: meanings.get(error.code) ?? 'That did not work.', details };
}

/** Shows an error, or with undefined takes the last one away. */
export function showError(element: HTMLElement, error: unknown): void {
  element.replaceChildren();
  element.hidden = error === undefined;
  if (error === undefined) return;
  const { sentence, details } = errorInWords(error);
  element.append(make('strong', sentence), make('small', details));
}
