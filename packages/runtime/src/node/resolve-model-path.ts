import { stat } from 'node:fs/promises';
import type { HubProgress } from '@phiblocks/hub';
import { expectKnownOptions } from '@phiblocks/tensor';

/** How a model is found by its name on the Hugging Face hub. What is not given comes from the environment, as in Python. */
export interface FromHubOptions {
  /** A branch, a tag or a commit. Default: `main`. */
  readonly revision?: string | undefined;
  /** A folder of the repository that holds the checkpoint. */
  readonly subfolder?: string | undefined;
  /** False fetches only what describes a checkpoint in safetensors, for its tokenizer. Default: true. */
  readonly weights?: boolean | undefined;
  /** Use only what the cache has. */
  readonly offline?: boolean | undefined;
  readonly cacheDirectory?: string | undefined;
  /** `false` sends none, whatever the environment says. */
  readonly token?: string | false | undefined;
  readonly endpoint?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of every step, in the shape of transformers.js. */
  readonly onProgress?: ((progress: HubProgress) => void) | undefined;
}

/**
 * Where a model lies on the disk: a path that exists is that path; a name on the hub, `owner/name` or `owner/name:Q4_K_M`, is
 * the place of the checkpoint in the cache, to which it is brought first as far as it is not there. Anything else comes back as
 * it is, for the error of whoever opens it.
 *
 * @returns what `loadModel` and `openCheckpoint` take
 * @throws Phi3Error the codes of `@phiblocks/hub`
 */
export async function resolveModelPath(model: string, options: FromHubOptions = {}): Promise<string> {
  expectKnownOptions('resolveModelPath', options, [
    'revision',
    'subfolder',
    'weights',
    'offline',
    'cacheDirectory',
    'token',
    'endpoint',
    'signal',
    'onProgress',
  ]);
  if (await exists(model)) return model;
  // Loaded only here: whoever opens what is on the disk needs no hub.
  const { looksLikeModelReference } = await import('@phiblocks/hub');
  if (!looksLikeModelReference(model)) return model;
  const { fetchCheckpoint } = await import('@phiblocks/hub/node');
  return (await fetchCheckpoint({ model, ...options })).path;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
