import { createHub, type Hub, type HubOptions } from './hub.ts';
import { createMemoryStorage } from './memory-storage.ts';
import { createNobleHash } from './noble-hash.ts';
import { createOpfsStorage } from './opfs-storage.ts';
import type { CacheStorage } from './storage.ts';

/** Options of {@link createBrowserHub}. */
export interface BrowserHubOptions extends Omit<HubOptions, 'storage' | 'createHash'> {
  /** Told, at most once, that nothing will last, and why. */
  readonly onWarning?: ((warning: string) => void) | undefined;
}

/**
 * A hub for browsers: it keeps files in the origin private file system, and where the browser gives the page none (not
 * secure, private mode, an opaque origin) in memory, which it says by `onWarning`. When the quota is used up it goes on in
 * memory too, and says so in the `warnings` of the checkpoint; `whenStoreFails: 'throw'` makes that an error.
 *
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const hub = await createBrowserHub({ offline: true });
 * await hub.findCached({ model: 'microsoft/Phi-3-mini-4k-instruct' }); // => undefined
 */
export async function createBrowserHub(options: BrowserHubOptions = {}): Promise<Hub> {
  const { onWarning, whenStoreFails = 'memory', ...more } = options;
  return createHub({ ...more, whenStoreFails, storage: await browserStorage(onWarning), createHash: createNobleHash });
}

async function browserStorage(onWarning: ((warning: string) => void) | undefined): Promise<CacheStorage> {
  try {
    if (typeof navigator?.storage?.getDirectory !== 'function') throw new Error('the page has none (is it https?)');
    const root = await navigator.storage.getDirectory();
    return createOpfsStorage(await root.getDirectoryHandle('phiblocks-hub', { create: true }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    onWarning?.(`Models are kept in memory and fetched again next time: no origin private file system, ${reason}.`);
    return createMemoryStorage();
  }
}
