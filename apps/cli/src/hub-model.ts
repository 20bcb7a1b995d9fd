import { resolveModelPath } from '@phiblocks/runtime/node';
import { isPhi3Error } from '@phiblocks/tensor';
import { type Command, Option } from 'commander';
import { createInterrupt, createProgress, note } from './terminal.ts';

interface HubFlags {
  readonly model: string;
  readonly revision?: string;
  readonly offline?: boolean;
}

/** Commands that need no weights of a model. */
const withoutWeights = ['tokenize', 'detokenize'];

/**
 * Lets `--model` of a command be a name on the Hugging Face hub: `owner/name`, or `owner/name:file` for a GGUF file. Such a name
 * is fetched before the command runs, as far as the cache does not have it; a path that exists is always the path.
 */
export function acceptHubModels(command: Command): Command {
  return command
    .addOption(new Option('--revision <name>', 'with a model on the hub: a branch, a tag or a commit').default('main'))
    .addOption(new Option('--offline', 'with a model on the hub: use only what is in the cache'))
    .hook('preAction', async () => {
      const flags: HubFlags = command.opts();
      const path = await fetchModel(flags, !withoutWeights.includes(command.name()));
      command.setOptionValue('model', path);
    });
}

async function fetchModel({ model, revision, offline }: HubFlags, weights: boolean): Promise<string> {
  const interrupt = createInterrupt();
  const progress = createProgress(`Fetching ${model}`);
  const loaded = new Map<string, number>();
  const totals = new Map<string, number>();
  const sum = (sizes: ReadonlyMap<string, number>): number => [...sizes.values()].reduce((a, b) => a + b, 0);
  try {
    return await resolveModelPath(model, {
      revision,
      // Undefined leaves it to HF_HUB_OFFLINE.
      offline: offline ? true : undefined,
      weights,
      signal: interrupt.signal,
      onProgress: (event) => {
        if (event.status === 'initiate' && event.source === 'network') totals.set(event.file, event.total);
        if (event.status === 'progress') loaded.set(event.file, event.loaded);
        if (event.status === 'progress') progress.update(sum(loaded), sum(totals));
      },
    });
  } catch (error) {
    if (isPhi3Error(error, 'ABORTED')) {
      note('phiblocks: stopped; what was received is kept, and the same command goes on from there');
    }
    throw error;
  } finally {
    progress.end();
    interrupt.release();
  }
}
