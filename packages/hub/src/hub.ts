import { ArgumentError, expectKnownOptions, isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { type ByteSource, parseShardIndex } from '@phiblocks/weights';
import { cachePaths } from './cache-layout.ts';
import { type ChosenFiles, chooseFiles, descriptionFiles, indexFile, singleFile } from './choose-files.ts';
import type { HubClock } from './clock.ts';
import { type BlobRecord, type DownloadContext, downloadBlob } from './download-blob.ts';
import type { HubErrorCode } from './error-codes.ts';
import {
  beginContentHash,
  type ContentHash,
  type CreateHash,
  contentHashOf,
  hashFrom,
  hashSamples,
} from './hashing.ts';
import { type HubFile, listRepository, resolveRevision } from './hub-api.ts';
import { parseModelReference } from './model-reference.ts';
import { checkFileName, checkRevision, isCommitHash, isFileName } from './names.ts';
import { createOverlayStorage } from './overlay-storage.ts';
import type { FileOrigin, HubProgress } from './progress.ts';
import type { CacheStorage } from './storage.ts';
import { createTransport, type Transport } from './transport.ts';

/** What a hub works with. */
export interface HubOptions {
  /** Where files are kept. */
  readonly storage: CacheStorage;
  readonly createHash: CreateHash;
  /** Default: `https://huggingface.co`; in Node what the environment says, if it does. */
  readonly endpoint?: string | undefined;
  /** Sent to the endpoint and to nobody else. */
  readonly token?: string | undefined;
  /** Use nothing but the cache. Default: false; in Node what the environment says, if it does. */
  readonly offline?: boolean | undefined;
  /** Instead of the global `fetch`, for example for a proxy. */
  readonly fetch?: typeof fetch | undefined;
  /** Attempts after the first one, for each request. Default: 5. */
  readonly maxRetries?: number | undefined;
  /** A connection on which nothing arrives for so long is given up and tried again. Default: 60,000. */
  readonly idleTimeoutMs?: number | undefined;
  /** How many files are fetched at once. Default: 4. */
  readonly maxConcurrentFiles?: number | undefined;
  /**
   * What to do when the store cannot be written to, or is full (`CACHE_READ_ONLY`, `DISK_FULL`, `QUOTA`): the error, or go on
   * with the rest in memory and say so in `warnings`. Default: `throw`; in browsers `memory`.
   */
  readonly whenStoreFails?: 'throw' | 'memory' | undefined;
  /** Time and chance, for tests. */
  readonly clock?: HubClock | undefined;
}

/** Which checkpoint is meant. */
export interface CheckpointDesignation {
  /** `owner/name`, or `owner/name:Q4_K_M` for one of several GGUF files (by a part of its name, or its whole name). */
  readonly model: string;
  /** A branch, a tag or a commit. Default: `main`. */
  readonly revision?: string | undefined;
  /** A folder of the repository that holds the checkpoint. */
  readonly subfolder?: string | undefined;
  /** Exactly these files, by their paths within the subfolder, instead of what a checkpoint needs. */
  readonly files?: readonly string[] | undefined;
  /** False leaves out safetensors weights, for who needs only configuration and tokenizer. Default: true. */
  readonly weights?: boolean | undefined;
}

/** What to fetch, and how to be told. */
export interface FetchCheckpointOptions extends CheckpointDesignation {
  readonly signal?: AbortSignal | undefined;
  /** Told of every step, in the shape of transformers.js. */
  readonly onProgress?: ((progress: HubProgress) => void) | undefined;
}

/** A file of a checkpoint in the cache. */
export interface CheckpointFile {
  /** Path within the repository. */
  readonly name: string;
  readonly sizeInBytes: number;
  /** What the bytes hash to; undefined for a file that something else than the hub put there without a name that says it. */
  readonly hash: ContentHash | undefined;
  /** Where it came from in this call. */
  readonly origin: FileOrigin;
  /** Path on the disk; undefined where there is none, as in a browser. */
  readonly path: string | undefined;
  /** Opens it for reading in ranges. */
  open(): Promise<ByteSource>;
}

/** A checkpoint in the cache, whole. */
export interface FetchedCheckpoint {
  readonly repository: string;
  readonly revision: string;
  /** The commit that the revision stands for. */
  readonly commit: string;
  readonly format: ChosenFiles['format'];
  /** By their paths within the subfolder. */
  readonly files: ReadonlyMap<string, CheckpointFile>;
  /** The names of the parts of a GGUF model, in order; empty for another format. */
  readonly ggufParts: readonly string[];
  /** What was accepted but should be known, in sentences. */
  readonly warnings: readonly string[];
  /** The folder of the files on the disk; undefined where there is none. */
  readonly directory: string | undefined;
  /** Opens a file by its path within the subfolder; undefined when the checkpoint has none of that name. */
  open(fileName: string): Promise<ByteSource | undefined>;
}

/** What the cache has of a checkpoint. */
export interface CachedCheckpoint {
  readonly checkpoint: FetchedCheckpoint;
  /** What a whole checkpoint needs and the cache does not have. */
  readonly missing: readonly string[];
}

/** What {@link Hub.verifyCheckpoint} found about a file. */
export interface VerifiedFile {
  readonly name: string;
  /** `unknown`: neither the cache nor the hub (when offline) says what it should hash to. */
  readonly status: 'whole' | 'damaged' | 'missing' | 'unknown';
  readonly expected: ContentHash | undefined;
  /** The digits that the bytes hash to. */
  readonly got: string | undefined;
}

/** Checkpoints by name. */
export interface Hub {
  readonly storage: CacheStorage;
  /** Brings a checkpoint into the cache, as far as it is not there, and gives its files. */
  fetchCheckpoint(options: FetchCheckpointOptions): Promise<FetchedCheckpoint>;
  /** What {@link Hub.fetchCheckpoint} would fetch, without fetching it (of a sharded checkpoint all its shards). */
  listCheckpointFiles(options: FetchCheckpointOptions): Promise<readonly HubFile[]>;
  /** What the cache has, without the network and without writing anything; undefined when it knows no such revision. */
  findCached(options: CheckpointDesignation): Promise<CachedCheckpoint | undefined>;
  /** Hashes every byte of a checkpoint in the cache. */
  verifyCheckpoint(options: FetchCheckpointOptions): Promise<readonly VerifiedFile[]>;
  /** Fetches again what {@link Hub.verifyCheckpoint} finds damaged or missing; damaged files are set aside first. */
  repairCheckpoint(options: FetchCheckpointOptions): Promise<FetchedCheckpoint>;
}

/** Where models are when nothing else is said. */
export const defaultEndpoint = 'https://huggingface.co';

const indexLimits = { maxSizeInBytes: 250_000_000, maxTensors: 1_000_000 };

/**
 * A hub over any store. In Node `createNodeHub` of the entry `./node` makes one with the environment's settings, in browsers
 * `createBrowserHub`.
 *
 * @throws Phi3Error `OPTION_UNKNOWN`; ArgumentError for an endpoint that is no address of the web
 * @example
 * const hub = createHub({ storage: createMemoryStorage(), createHash: createNobleHash, offline: true });
 * await hub.findCached({ model: 'microsoft/Phi-3-mini-4k-instruct' }); // => undefined
 */
export function createHub(options: HubOptions): Hub {
  expectKnownOptions('createHub', options, [
    'storage',
    'createHash',
    'endpoint',
    'token',
    'offline',
    'fetch',
    'maxRetries',
    'idleTimeoutMs',
    'maxConcurrentFiles',
    'whenStoreFails',
    'clock',
  ]);
  const { storage, createHash, offline = false, maxConcurrentFiles = 4 } = options;
  const transport = createTransport({
    endpoint: checkEndpoint(options.endpoint ?? defaultEndpoint),
    token: options.token,
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    clock: options.clock,
    maxRetries: options.maxRetries,
    idleTimeoutMs: options.idleTimeoutMs,
  });
  const session: Session = { storage, createHash, offline, maxConcurrentFiles, transport };
  return {
    storage,
    fetchCheckpoint: (asked) =>
      named('fetchCheckpoint', asked, async (request) => {
        try {
          return await fetchCheckpoint(session, request);
        } catch (error) {
          const isFailure = isPhi3Error(error) && ['CACHE_READ_ONLY', 'DISK_FULL', 'QUOTA'].includes(error.code);
          if (options.whenStoreFails !== 'memory' || !isFailure) throw error;
          const fetched = await fetchCheckpoint({ ...session, storage: createOverlayStorage(storage) }, request);
          const warning = `Kept in memory, not in ${storage.place}: ${error.message}`;
          return { ...fetched, warnings: [...fetched.warnings, warning] };
        }
      }),
    listCheckpointFiles: (asked) => named('listCheckpointFiles', asked, (request) => listFiles(session, request)),
    findCached: (asked) => named('findCached', asked, (request) => findCached(session, request)),
    verifyCheckpoint: (asked) => named('verifyCheckpoint', asked, (request) => verifyCheckpoint(session, request)),
    repairCheckpoint: (asked) => named('repairCheckpoint', asked, (request) => repairCheckpoint(session, request)),
  };
}

interface Session {
  readonly storage: CacheStorage;
  readonly createHash: CreateHash;
  readonly offline: boolean;
  readonly maxConcurrentFiles: number;
  readonly transport: Transport;
}

/** A call with everything about it checked. */
interface CheckedRequest {
  readonly model: string;
  readonly repository: string;
  readonly choice: string | undefined;
  readonly revision: string;
  readonly subfolder: string | undefined;
  readonly files: readonly string[] | undefined;
  readonly weights: boolean;
  readonly signal: AbortSignal | undefined;
  onProgress(progress: HubProgress): void;
}

async function named<T>(
  functionName: string,
  options: FetchCheckpointOptions,
  work: (request: CheckedRequest) => Promise<T>,
): Promise<T> {
  expectKnownOptions(functionName, options, [
    'model',
    'revision',
    'subfolder',
    'files',
    'weights',
    'signal',
    'onProgress',
  ]);
  const { model, revision = 'main', subfolder, files, weights = true, signal, onProgress = () => {} } = options;
  const { repository, choice } = parseModelReference(model);
  checkRevision(revision);
  if (subfolder !== undefined) checkFileName(subfolder, 'subfolder');
  for (const file of files ?? []) checkFileName(file, 'files');
  try {
    signal?.throwIfAborted();
    return await work({ model, repository, choice, revision, subfolder, files, weights, signal, onProgress });
  } catch (cause) {
    if (!signal?.aborted) throw cause;
    throw new Phi3Error<HubErrorCode>({
      code: 'ABORTED',
      function: functionName,
      got: cause instanceof Error ? cause.message : String(cause),
      hint: 'What was received is kept; the same call goes on from there.',
      retryable: true,
      cause,
    });
  }
}

async function fetchCheckpoint(session: Session, request: CheckedRequest): Promise<FetchedCheckpoint> {
  if (session.offline) return fetchOffline(session, request);
  const { storage } = session;
  const { repository, revision, signal, onProgress } = request;
  const commit = isCommitHash(revision)
    ? revision
    : await resolveRevision(session.transport, repository, revision, signal);
  const listing = await listingOf(session, repository, commit, signal);
  const chosen = chooseFiles([...listing.keys()], request);
  const fetched = new Map<string, CheckpointFile>();
  const fetchAll = async (names: readonly string[]): Promise<void> => {
    const missing = new Set<string>();
    // All are announced before the first is fetched, so that who shows progress knows how much there is.
    for (const name of names) {
      const file = listing.get(name)!;
      const path = cachePaths.file(repository, commit, name);
      const hasIt = await isWholeAtFirstSight(session, repository, path, file);
      if (!hasIt) missing.add(name);
      const source = hasIt ? 'cache' : 'network';
      onProgress({ status: 'initiate', name: request.model, file: name, source, total: file.sizeInBytes });
    }
    await inParallel(names, session.maxConcurrentFiles, async (name) => {
      fetched.set(name, await fetchFile(session, request, commit, listing.get(name)!, missing.has(name)));
    });
  };
  await fetchAll(chosen.names);
  const shards = await shardNames(fetched, chosen, request);
  const missing = shards.filter((name) => !listing.has(name));
  if (missing.length > 0) {
    throw new Phi3Error({
      code: 'IX_SHARD_MISSING',
      function: 'fetchCheckpoint',
      expected: 'every shard that the index names',
      got: missing,
      where: { file: repository },
    });
  }
  await fetchAll(shards);
  const warnings: string[] = [];
  await writeRef(storage, repository, revision, commit).catch((error) => {
    // Nothing had to be fetched, so a cache that is only read will do, as it does for Python.
    if (!isPhi3Error(error, 'CACHE_READ_ONLY')) throw error;
    warnings.push(`The cache does not keep that ${revision} is ${commit}: ${error.message}`);
  });
  onProgress({ status: 'ready', model: request.model });
  return checkpointOf(session, request, commit, chosen, [...chosen.names, ...shards], fetched, warnings);
}

/** Brings one file into the snapshot, if it is missing there. */
async function fetchFile(
  session: Session,
  request: CheckedRequest,
  commit: string,
  file: HubFile,
  isMissing: boolean,
): Promise<CheckpointFile> {
  const { storage } = session;
  const { repository, onProgress } = request;
  const path = cachePaths.file(repository, commit, file.name);
  let origin: FileOrigin = 'cache';
  if (isMissing) {
    const blob = cachePaths.blob(repository, file.hash);
    if (!(await isWholeAtFirstSight(session, repository, blob, file))) {
      // A blob of another size, or with other samples, is no blob. Its final name must be free before the download.
      if ((await storage.sizeOf(blob)) !== undefined) {
        await storage.move(blob, cachePaths.quarantine(repository, file.hash.digits));
      }
      origin = await downloadBlob(file, downloadContext(session, request, commit, file));
    }
    await storage.link(path, blob);
  }
  onProgress({ status: 'done', name: request.model, file: file.name, source: origin, total: file.sizeInBytes });
  return checkpointFile(storage, path, file.name, file.sizeInBytes, file.hash, origin);
}

function downloadContext(session: Session, request: CheckedRequest, commit: string, file: HubFile): DownloadContext {
  const { repository, signal, onProgress } = request;
  const about = { name: request.model, file: file.name };
  return {
    ...session,
    repository,
    commit,
    signal,
    onStart: (resumedFrom) => onProgress({ status: 'download', ...about, resumedFrom }),
    onBytes: (loaded) =>
      onProgress({
        status: 'progress',
        ...about,
        progress: (100 * loaded) / file.sizeInBytes,
        loaded,
        total: file.sizeInBytes,
      }),
  };
}

/** Size, and the hash of samples where one was kept. Every byte is read only by `verifyCheckpoint`. */
async function isWholeAtFirstSight(
  { storage, createHash }: Session,
  repository: string,
  path: string,
  file: Pick<HubFile, 'sizeInBytes' | 'hash'>,
): Promise<boolean> {
  if ((await storage.sizeOf(path)) !== file.sizeInBytes) return false;
  const record = await readRecord(storage, repository, file.hash.digits);
  if (record === undefined) return true;
  const source = await storage.open(path);
  try {
    return record.samples === (await hashSamples(createHash, source));
  } finally {
    await source.close();
  }
}

async function readRecord(storage: CacheStorage, repository: string, blob: string): Promise<BlobRecord | undefined> {
  const bytes = await storage.readSmallFile(cachePaths.record(repository, blob));
  const record = bytes && (parseJson(bytes) as Partial<BlobRecord> | undefined);
  const isRecord = typeof record?.sizeInBytes === 'number' && typeof record.samples === 'string';
  return isRecord ? (record as BlobRecord) : undefined;
}

/** The shards that the index of a chosen checkpoint names, by their paths in the repository. */
async function shardNames(
  files: ReadonlyMap<string, CheckpointFile>,
  chosen: ChosenFiles,
  { subfolder }: CheckedRequest,
): Promise<string[]> {
  const prefix = subfolder === undefined ? '' : `${subfolder}/`;
  const index = files.get(prefix + indexFile);
  if (chosen.format !== 'safetensors' || index === undefined) return [];
  const source = await index.open();
  try {
    if (source.sizeInBytes > indexLimits.maxSizeInBytes) {
      throw new Phi3Error({
        code: 'IX_SIZE',
        function: 'fetchCheckpoint',
        expected: `at most ${indexLimits.maxSizeInBytes} bytes`,
        got: source.sizeInBytes,
        where: { file: index.name },
      });
    }
    const bytes = await source.read(0, source.sizeInBytes);
    return parseShardIndex(bytes, indexFile, indexLimits).shards.map((shard) => prefix + shard);
  } finally {
    await source.close();
  }
}

/** What the hub lists at a commit: from the cache when it was asked before, for a commit never changes. */
async function listingOf(
  { storage, transport }: Session,
  repository: string,
  commit: string,
  signal: AbortSignal | undefined,
): Promise<Map<string, HubFile>> {
  const saved = await readListing(storage, repository, commit);
  if (saved !== undefined) return saved;
  const files = await listRepository(transport, repository, commit, signal);
  const text = JSON.stringify(files.map(({ name, sizeInBytes, hash }) => [name, sizeInBytes, hash.digits]));
  await storage
    .writeSmallFile(cachePaths.listing(repository, commit), new TextEncoder().encode(text))
    .catch((error) => {
      // Kept to save a request; whether the cache must be written to shows when a file is missing.
      if (!isPhi3Error(error, 'CACHE_READ_ONLY')) throw error;
    });
  return new Map(files.map((file) => [file.name, file]));
}

async function readListing(
  storage: CacheStorage,
  repository: string,
  commit: string,
): Promise<Map<string, HubFile> | undefined> {
  const bytes = await storage.readSmallFile(cachePaths.listing(repository, commit));
  const entries = bytes && parseJson(bytes);
  if (!Array.isArray(entries)) return undefined;
  const files = new Map<string, HubFile>();
  for (const entry of entries) {
    const [name, sizeInBytes, digits] = Array.isArray(entry) ? entry : [];
    const hash = contentHashOf(String(digits));
    // The cache is shared with other programs; what does not read well is asked for again.
    if (typeof name !== 'string' || !isFileName(name) || !Number.isSafeInteger(sizeInBytes) || !hash) return undefined;
    files.set(name, { name, sizeInBytes, hash });
  }
  return files;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

async function writeRef(storage: CacheStorage, repository: string, revision: string, commit: string): Promise<void> {
  if (isCommitHash(revision)) return;
  const path = cachePaths.ref(repository, revision);
  const bytes = await storage.readSmallFile(path);
  if (bytes && new TextDecoder().decode(bytes).trim() === commit) return;
  await storage.writeSmallFile(path, new TextEncoder().encode(commit));
}

async function listFiles(session: Session, request: CheckedRequest): Promise<readonly HubFile[]> {
  const { repository, revision, signal } = request;
  if (session.offline) {
    throw offlineError('listCheckpointFiles', repository, [`the list of files at ${revision}`]);
  }
  const commit = isCommitHash(revision)
    ? revision
    : await resolveRevision(session.transport, repository, revision, signal);
  const files = await listRepository(session.transport, repository, commit, signal);
  const { names, format } = chooseFiles(
    files.map(({ name }) => name),
    request,
  );
  const prefix = request.subfolder === undefined ? '' : `${request.subfolder}/`;
  const isSharded = format === 'safetensors' && names.includes(prefix + indexFile);
  const isShard = (name: string): boolean =>
    isSharded && name.startsWith(prefix) && /^[^/]*-\d{5}-of-\d{5}\.safetensors$/.test(name.slice(prefix.length));
  return files.filter(({ name }) => names.includes(name) || isShard(name));
}

/** The checkpoint as the cache has it. Nothing is asked and nothing is written. */
async function findCached(session: Session, request: CheckedRequest): Promise<CachedCheckpoint | undefined> {
  const { storage } = session;
  const { repository, revision, subfolder } = request;
  const commit = await cachedCommit(storage, repository, revision);
  if (commit === undefined) return undefined;
  const snapshot = cachePaths.snapshot(repository, commit);
  const present = await listTree(storage, snapshot);
  const listing = await readListing(storage, repository, commit);
  if (present.length === 0 && listing === undefined) return undefined;
  const prefix = subfolder === undefined ? '' : `${subfolder}/`;
  const chosen = chooseCached(present, listing, request);
  const fetched = new Map<string, CheckpointFile>();
  const missing: string[] = [];
  const take = async (name: string): Promise<void> => {
    const path = cachePaths.file(repository, commit, name);
    const sizeInBytes = await storage.sizeOf(path);
    const listed = listing?.get(name);
    const hash = listed?.hash ?? contentHashOf((await storage.linkTarget(path))?.split('/').at(-1) ?? '');
    const record = hash && (await readRecord(storage, repository, hash.digits));
    const expectedSize = listed?.sizeInBytes ?? record?.sizeInBytes ?? sizeInBytes;
    const isWhole =
      sizeInBytes !== undefined &&
      sizeInBytes === expectedSize &&
      (hash === undefined || (await isWholeAtFirstSight(session, repository, path, { sizeInBytes, hash })));
    if (isWhole) fetched.set(name, checkpointFile(storage, path, name, sizeInBytes, hash, 'cache'));
    else missing.push(name);
  };
  for (const name of chosen.names) await take(name);
  const shards = await shardNames(fetched, chosen, request);
  for (const name of shards) await take(name);

  const warnings: string[] = [];
  if (chosen.format === 'safetensors' && listing === undefined) {
    for (const name of ['tokenizer.json', 'generation_config.json']) {
      const isKnown =
        fetched.has(prefix + name) ||
        (await storage.sizeOf(cachePaths.absent(repository, commit, prefix + name))) !== undefined;
      if (!isKnown)
        warnings.push(`${prefix + name} is not in the cache; whether ${repository} has one is not known there.`);
    }
  }
  const checkpoint = checkpointOf(session, request, commit, chosen, [...chosen.names, ...shards], fetched, warnings);
  return { checkpoint, missing };
}

/** Chooses from the list of the commit where it is known; else from what is there, of which weights must be a part. */
function chooseCached(
  present: readonly string[],
  listing: ReadonlyMap<string, HubFile> | undefined,
  request: CheckedRequest,
): ChosenFiles {
  if (listing !== undefined) return chooseFiles([...listing.keys()], request);
  const prefix = request.subfolder === undefined ? '' : `${request.subfolder}/`;
  if (request.files !== undefined) {
    return { format: 'files', names: request.files.map((name) => prefix + name), ggufParts: [] };
  }
  try {
    const chosen = chooseFiles(present, request);
    if (chosen.format !== 'safetensors' || chosen.names.includes(`${prefix}config.json`)) return chosen;
    return { ...chosen, names: [`${prefix}config.json`, ...chosen.names] };
  } catch (error) {
    if (!isPhi3Error(error, 'HUB_NO_WEIGHTS')) throw error;
    const descriptions = descriptionFiles.map((name) => prefix + name).filter((name) => present.includes(name));
    return { format: 'safetensors', names: [...descriptions, prefix + singleFile], ggufParts: [] };
  }
}

async function cachedCommit(storage: CacheStorage, repository: string, revision: string): Promise<string | undefined> {
  if (isCommitHash(revision)) return revision;
  const bytes = await storage.readSmallFile(cachePaths.ref(repository, revision));
  const commit = bytes && new TextDecoder().decode(bytes).trim();
  return commit !== undefined && isCommitHash(commit) ? commit : undefined;
}

/** Paths of all files below a folder, relative to it. */
async function listTree(storage: CacheStorage, folder: string, depth = 0): Promise<string[]> {
  const found: string[] = [];
  for (const name of await storage.list(folder)) {
    if ((await storage.sizeOf(`${folder}/${name}`)) !== undefined) found.push(name);
    else if (depth < 8)
      found.push(...(await listTree(storage, `${folder}/${name}`, depth + 1)).map((below) => `${name}/${below}`));
  }
  return found;
}

async function fetchOffline(session: Session, request: CheckedRequest): Promise<FetchedCheckpoint> {
  const cached = await findCached(session, request);
  if (cached === undefined) {
    throw offlineError(
      'fetchCheckpoint',
      request.repository,
      [`everything at ${request.revision}`],
      session.storage.place,
    );
  }
  if (cached.missing.length > 0) {
    throw offlineError('fetchCheckpoint', request.repository, cached.missing, session.storage.place);
  }
  for (const { name: file, sizeInBytes: total } of cached.checkpoint.files.values()) {
    request.onProgress({ status: 'initiate', name: request.model, file, source: 'cache', total });
    request.onProgress({ status: 'done', name: request.model, file, source: 'cache', total });
  }
  request.onProgress({ status: 'ready', model: request.model });
  return cached.checkpoint;
}

async function verifyCheckpoint(session: Session, request: CheckedRequest): Promise<readonly VerifiedFile[]> {
  const { storage, createHash } = session;
  const { commit, names, hashes } = await expectedFiles(session, request);
  const verified: VerifiedFile[] = [];
  for (const name of names) {
    const path = cachePaths.file(request.repository, commit, name);
    const expected = hashes.get(name) ?? contentHashOf((await storage.linkTarget(path))?.split('/').at(-1) ?? '');
    const sizeInBytes = await storage.sizeOf(path);
    if (sizeInBytes === undefined) {
      verified.push({ name, status: 'missing', expected, got: undefined });
      continue;
    }
    if (expected === undefined) {
      verified.push({ name, status: 'unknown', expected, got: undefined });
      continue;
    }
    const source = await storage.open(path);
    try {
      const hash = beginContentHash(createHash, expected.kind, sizeInBytes);
      await hashFrom(hash, source, sizeInBytes, request.signal);
      const got = hash.digest();
      verified.push({ name, status: got === expected.digits ? 'whole' : 'damaged', expected, got });
    } finally {
      await source.close();
    }
  }
  return verified;
}

/** Which files a checkpoint in the cache has, and what they should hash to. The hub is asked only for a list never had. */
async function expectedFiles(
  session: Session,
  request: CheckedRequest,
): Promise<{ commit: string; names: string[]; hashes: Map<string, ContentHash> }> {
  const { repository, revision, signal } = request;
  const commit = await cachedCommit(session.storage, repository, revision);
  if (commit === undefined)
    throw offlineError('verifyCheckpoint', repository, [`everything at ${revision}`], session.storage.place);
  if (!session.offline) await listingOf(session, repository, commit, signal);
  const cached = await findCached(session, { ...request, revision: commit });
  if (cached === undefined)
    throw offlineError('verifyCheckpoint', repository, [`everything at ${revision}`], session.storage.place);
  const listing = await readListing(session.storage, repository, commit);
  const prefix = request.subfolder === undefined ? '' : `${request.subfolder}/`;
  const names = new Set([...cached.checkpoint.files.keys()].map((name) => prefix + name));
  for (const name of cached.missing) names.add(name);
  const hashes = new Map([...(listing ?? [])].map(([name, { hash }]) => [name, hash]));
  return { commit, names: [...names], hashes };
}

async function repairCheckpoint(session: Session, request: CheckedRequest): Promise<FetchedCheckpoint> {
  const { storage } = session;
  const { repository, revision } = request;
  const commit = await cachedCommit(storage, repository, revision);
  // The same commit as it was, not what the branch is by now.
  const pinned = commit === undefined ? request : { ...request, revision: commit };
  if (commit !== undefined) {
    for (const { name, status, expected } of await verifyCheckpoint(session, pinned)) {
      if (status !== 'damaged' || expected === undefined) continue;
      const path = cachePaths.file(repository, commit, name);
      const blob = cachePaths.blob(repository, expected);
      await storage.move(
        (await storage.linkTarget(path)) === blob ? blob : path,
        cachePaths.quarantine(repository, expected.digits),
      );
      await storage.remove(path);
    }
  }
  const repaired = await fetchCheckpoint(session, pinned);
  for (const { hash } of repaired.files.values()) {
    if (hash !== undefined) await storage.remove(cachePaths.quarantine(repository, hash.digits));
  }
  return repaired;
}

function checkpointOf(
  { storage }: Session,
  { repository, revision, subfolder }: CheckedRequest,
  commit: string,
  chosen: ChosenFiles,
  order: readonly string[],
  fetched: ReadonlyMap<string, CheckpointFile>,
  warnings: readonly string[],
): FetchedCheckpoint {
  const prefix = subfolder === undefined ? '' : `${subfolder}/`;
  const files = new Map<string, CheckpointFile>();
  for (const name of order) {
    const file = fetched.get(name);
    if (file !== undefined) files.set(name.slice(prefix.length), file);
  }
  const snapshot = cachePaths.snapshot(repository, commit);
  return {
    repository,
    revision,
    commit,
    format: chosen.format,
    files,
    ggufParts: chosen.ggufParts.map((name) => name.slice(prefix.length)),
    warnings,
    directory: storage.pathOf(subfolder === undefined ? snapshot : `${snapshot}/${subfolder}`),
    open: async (fileName) => files.get(fileName)?.open(),
  };
}

function checkpointFile(
  storage: CacheStorage,
  path: string,
  name: string,
  sizeInBytes: number,
  hash: ContentHash | undefined,
  origin: FileOrigin,
): CheckpointFile {
  return { name, sizeInBytes, hash, origin, path: storage.pathOf(path), open: () => storage.open(path) };
}

/** Runs work on every item, a few at a time; the first fault is thrown when the others have come to rest. */
async function inParallel<T>(items: readonly T[], most: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let isFaulty = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !isFaulty) {
      try {
        await work(items[next++]!);
      } catch (error) {
        isFaulty = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(most, items.length) }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function checkEndpoint(endpoint: string): string {
  const bare = endpoint.replace(/\/+$/, '');
  if (URL.canParse(bare) && /^https?:$/.test(new URL(bare).protocol)) return bare;
  throw new ArgumentError({
    function: 'createHub',
    argument: 'endpoint',
    expected: 'an address that begins with https:// or http://',
    got: endpoint,
  });
}

function offlineError(functionName: string, repository: string, missing: readonly string[], place?: string): Phi3Error {
  return new Phi3Error<HubErrorCode>({
    code: 'HUB_OFFLINE',
    function: functionName,
    expected: `in the cache${place === undefined ? '' : ` ${place}`}: ${missing.join(', ')}`,
    where: { file: repository },
    hint: 'Call once without offline (and without HF_HUB_OFFLINE) to fetch it.',
  });
}
