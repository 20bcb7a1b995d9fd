/**
 * The hub with the cache on disk that Python's `huggingface_hub` uses, for Node.
 *
 * @module @phiblocks/hub/node
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expectKnownOptions } from '@phiblocks/tensor';
import {
  type CachedCheckpoint,
  type CheckpointDesignation,
  createHub,
  type FetchCheckpointOptions,
  type FetchedCheckpoint,
  type Hub,
  type HubOptions,
  type VerifiedFile,
} from './hub.ts';
import type { HubFile } from './hub-api.ts';
import { readHubEnvironment } from './node/environment.ts';
import { createNodeStorage, type NodeStorageOptions } from './node/node-storage.ts';

export { type HubEnvironment, readHubEnvironment, type Variables } from './node/environment.ts';
export type { FileLockOptions } from './node/file-lock.ts';
export { createNodeStorage, type NodeStorageOptions } from './node/node-storage.ts';

/** Where to fetch from and where to keep it; what is not given comes from the environment, see {@link readHubEnvironment}. */
export interface NodeHubOptions
  extends Pick<
    HubOptions,
    | 'endpoint'
    | 'offline'
    | 'fetch'
    | 'maxRetries'
    | 'idleTimeoutMs'
    | 'maxConcurrentFiles'
    | 'whenStoreFails'
    | 'clock'
  > {
  /** The folder that holds `models--…`. */
  readonly cacheDirectory?: string | undefined;
  /** `false` sends none, whatever the environment says. */
  readonly token?: string | false | undefined;
  /** Lock times, free space and copies, for tests and unusual file systems. */
  readonly storageOptions?: NodeStorageOptions | undefined;
}

const hubOptionNames = [
  'cacheDirectory',
  'endpoint',
  'token',
  'offline',
  'fetch',
  'maxRetries',
  'idleTimeoutMs',
  'maxConcurrentFiles',
  'whenStoreFails',
  'clock',
  'storageOptions',
] as const;

/**
 * A hub over the cache folder that Python's huggingface_hub uses too: what either fetches, the other finds.
 *
 * @throws Phi3Error `OPTION_UNKNOWN`; ArgumentError for an endpoint that is no address of the web
 * @example
 * const hub = await createNodeHub({ cacheDirectory: folder, offline: true });
 * await hub.findCached({ model: 'nobody/nothing' }); // => undefined
 */
export async function createNodeHub(options: NodeHubOptions = {}): Promise<Hub> {
  expectKnownOptions('createNodeHub', options, hubOptionNames);
  const { cacheDirectory, endpoint, token, offline, storageOptions, ...more } = options;
  const environment = await readHubEnvironment();
  return createHub({
    ...more,
    storage: createNodeStorage(cacheDirectory ?? environment.cacheDirectory, storageOptions),
    createHash: (algorithm) => {
      const hash = createHash(algorithm);
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') };
    },
    endpoint: endpoint ?? environment.endpoint,
    token: token === false ? undefined : (token ?? environment.token),
    offline: offline ?? environment.offline,
  });
}

/** Options of the functions that make their hub themselves. */
export type NodeFetchOptions = FetchCheckpointOptions & NodeHubOptions;

/** A checkpoint on the disk. */
export interface LocalCheckpoint extends FetchedCheckpoint {
  /** The folder of its files. */
  readonly directory: string;
  /** What a loader takes: the folder, or the (first) GGUF file. */
  readonly path: string;
}

/**
 * Brings a checkpoint from the hub into the cache folder, as far as it is not there, and says where it lies.
 *
 * @throws Phi3Error the codes of `hubErrorCodes`, `DISK_FULL`, `FILE_IS_HTML`, `FILE_IS_LFS_POINTER`
 * @example
 * const { path } = await fetchCheckpoint({ model: 'tiny/checkpoint', cacheDirectory: folder, endpoint });
 * path.endsWith('snapshots/0123456789abcdef0123456789abcdef01234567'); // => true
 */
export async function fetchCheckpoint(options: NodeFetchOptions): Promise<LocalCheckpoint> {
  const { hub, asked } = await split(options);
  return local(await hub.fetchCheckpoint(asked));
}

/**
 * Which files {@link fetchCheckpoint} would fetch, with sizes and hashes.
 *
 * @throws Phi3Error as {@link fetchCheckpoint}; `HUB_OFFLINE` when offline
 * @example
 * const files = await listCheckpointFiles({ model: 'tiny/checkpoint', cacheDirectory: folder, endpoint });
 * files.length; // => 5
 */
export async function listCheckpointFiles(options: NodeFetchOptions): Promise<readonly HubFile[]> {
  const { hub, asked } = await split(options);
  return hub.listCheckpointFiles(asked);
}

/**
 * What the cache has of a checkpoint, without the network and without writing; undefined when it knows no such revision.
 *
 * @throws Phi3Error `HUB_NAME`, `HUB_FILE_CHOICE`, `CACHE_LINK`
 * @example
 * await findCached({ model: 'nobody/nothing', cacheDirectory: folder }); // => undefined
 */
export async function findCached(
  options: CheckpointDesignation & Pick<NodeHubOptions, 'cacheDirectory'>,
): Promise<(CachedCheckpoint & { readonly checkpoint: LocalCheckpoint }) | undefined> {
  const { hub, asked } = await split({ ...options, offline: true });
  const cached = await hub.findCached(asked);
  return cached && { ...cached, checkpoint: local(cached.checkpoint) };
}

/**
 * Hashes every byte of a checkpoint in the cache.
 *
 * @throws Phi3Error `HUB_OFFLINE` when the cache does not have it at all
 * @example
 * const where = { model: 'tiny/checkpoint', cacheDirectory: folder, endpoint };
 * await fetchCheckpoint(where);
 * (await verifyCheckpoint(where))[0].status; // => 'whole'
 */
export async function verifyCheckpoint(options: NodeFetchOptions): Promise<readonly VerifiedFile[]> {
  const { hub, asked } = await split(options);
  return hub.verifyCheckpoint(asked);
}

/**
 * Fetches again what {@link verifyCheckpoint} finds damaged or missing.
 *
 * @throws Phi3Error as {@link fetchCheckpoint}
 * @example
 * const { files } = await repairCheckpoint({ model: 'tiny/checkpoint', cacheDirectory: folder, endpoint });
 * files.size; // => 5
 */
export async function repairCheckpoint(options: NodeFetchOptions): Promise<LocalCheckpoint> {
  const { hub, asked } = await split(options);
  return local(await hub.repairCheckpoint(asked));
}

async function split(options: NodeFetchOptions): Promise<{ hub: Hub; asked: FetchCheckpointOptions }> {
  const { model, revision, subfolder, files, weights, signal, onProgress, ...hubOptions } = options;
  return {
    hub: await createNodeHub(hubOptions),
    asked: { model, revision, subfolder, files, weights, signal, onProgress },
  };
}

function local(checkpoint: FetchedCheckpoint): LocalCheckpoint {
  const directory = checkpoint.directory!;
  const [first] = checkpoint.ggufParts;
  return { ...checkpoint, directory, path: first === undefined ? directory : join(directory, ...first.split('/')) };
}
