import { stat } from 'node:fs/promises';
import type { HubProgress } from '@phiblocks/hub';
import { Phi3Error } from '@phiblocks/tensor';
import { openTarget, type Target } from './open-target.ts';
import { note } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export interface OpenModelOptions {
  /** Whether a name may be looked up on the hub. */
  readonly download: boolean;
  readonly revision: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Opens what the command line names: a path, or a name on the hub. What is in the cache is taken from there; the network is
 * reached with `download` only.
 */
export async function openModel(model: string, { download, revision, signal }: OpenModelOptions): Promise<Target> {
  const isPath = await stat(model).then(
    () => true,
    () => false,
  );
  // Loaded only here: whoever checks what is on the disk needs no hub.
  const hub = isPath ? undefined : await import('@phiblocks/hub');
  if (!hub?.looksLikeModelReference(model)) {
    if (download) throw new UsageError(`--download goes with a name on the hub, not with ${JSON.stringify(model)}`);
    return openTarget(model);
  }
  const { repository } = hub.parseModelReference(model);
  const { fetchCheckpoint, findCached } = await import('@phiblocks/hub/node');
  if (download) {
    const { path } = await fetchCheckpoint({ model, revision, signal, onProgress: downloadNotes() });
    return openTarget(path, model, repository);
  }
  const cached = await findCached({ model, revision });
  if (!cached || cached.missing.length > 0) {
    throw new Phi3Error({
      code: 'CHECKPOINT_NOT_FOUND',
      function: 'check',
      expected: cached ? `all files of ${model} in the cache` : `${model} in the cache, or a path`,
      got: cached ? cached.missing : model,
      hint: 'Say --download to fetch it.',
    });
  }
  return openTarget(cached.checkpoint.path, model, repository);
}

/** A line for each file that is fetched. */
function downloadNotes(): (event: HubProgress) => void {
  return (event) => {
    if (event.status === 'download') note(`phiblocks-check: fetching ${event.file}`);
  };
}
