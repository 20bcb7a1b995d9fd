import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { cachePaths, isPartialOf, partialEtagName, partialName } from './cache-layout.ts';
import type { HubErrorCode } from './error-codes.ts';
import { beginContentHash, type CreateHash, hashFrom, hashSamples, type StreamingHash } from './hashing.ts';
import { type HubFile, resolveUrl } from './hub-api.ts';
import { retryDelayMs } from './retry-delay.ts';
import { rejectWrongContent, sniffedInBytes } from './sniff.ts';
import type { CacheStorage, PartialFile } from './storage.ts';
import { bodyOf, type Transport } from './transport.ts';

/** What a download needs. */
export interface DownloadContext {
  readonly storage: CacheStorage;
  readonly transport: Transport;
  readonly createHash: CreateHash;
  readonly repository: string;
  readonly commit: string;
  readonly signal: AbortSignal | undefined;
  /** Called once, when bytes are about to come, with how many there are already. */
  onStart?(resumedFrom: number): void;
  /** Called with the bytes that are on the disk. */
  onBytes?(loaded: number): void;
}

/** What a blob looked like when it was whole; see {@link hashSamples}. */
export interface BlobRecord {
  readonly sizeInBytes: number;
  readonly samples: string;
}

/**
 * Brings a blob into the cache under its final name, which it gets in one step and only when its size and hash are what the
 * hub says. An unfinished file of an earlier call is gone on with; its bytes are hashed again first, not fetched again.
 *
 * @returns `network` when bytes came over the network, `cache` when another process had brought the blob meanwhile
 * @throws Phi3Error `NET`, `INTEGRITY`, `DISK_FULL`, `HUB_CONTENT`, `FILE_IS_HTML`, `FILE_IS_LFS_POINTER`, `CACHE_…`
 */
export async function downloadBlob(file: HubFile, context: DownloadContext): Promise<'network' | 'cache'> {
  const { storage, repository, signal } = context;
  const blobPath = cachePaths.blob(repository, file.hash);
  const lock = await storage.lock(cachePaths.lock(repository, file.hash.digits), { signal });
  try {
    if ((await storage.sizeOf(blobPath)) === file.sizeInBytes) return 'cache';
    const quarantine = cachePaths.quarantine(repository, file.hash.digits);
    for (let attempt = 0; ; attempt++) {
      const path = await claimPartial(file, context);
      const fault = await fillPartial(file, path, context);
      await lock.expectHeld();
      if (fault === undefined) {
        await writeRecord(file, path, context);
        await storage.remove(`${cachePaths.blobs(repository)}/${partialEtagName(file.hash.digits)}`);
        await storage.move(path, blobPath);
        if (attempt > 0) await storage.remove(quarantine);
        return 'network';
      }
      // Nothing was kept of a body that could not be the file by its length alone.
      const isKept = (await storage.sizeOf(path)) !== undefined;
      if (isKept) await storage.move(path, quarantine);
      if (attempt > 0)
        throw integrityError(file, fault, isKept ? (storage.pathOf(quarantine) ?? quarantine) : undefined);
    }
  } finally {
    await lock.release();
  }
}

/** Takes the unfinished file of an earlier call under a new unique name, or begins one. Others of the blob are removed. */
async function claimPartial(file: HubFile, { storage, repository }: DownloadContext): Promise<string> {
  const folder = cachePaths.blobs(repository);
  const blob = file.hash.digits;
  const found: { path: string; sizeInBytes: number }[] = [];
  for (const name of await storage.list(folder)) {
    if (!isPartialOf(blob, name)) continue;
    const path = `${folder}/${name}`;
    found.push({ path, sizeInBytes: (await storage.sizeOf(path)) ?? 0 });
  }
  found.sort((a, b) => b.sizeInBytes - a.sizeInBytes);
  const mine = `${folder}/${partialName(blob, crypto.randomUUID().slice(0, 8))}`;
  for (const [index, { path }] of found.entries()) {
    if (index === 0) await storage.move(path, mine);
    else await storage.remove(path);
  }
  return mine;
}

/** Fills a partial file up to its end. Returns what is wrong with its content, or undefined. */
async function fillPartial(file: HubFile, path: string, context: DownloadContext): Promise<string | undefined> {
  const { storage, createHash, signal } = context;
  const partial = await storage.openPartial(path);
  let filledUp = false;
  try {
    if (partial.sizeInBytes > file.sizeInBytes) await partial.clear();
    await expectSpace(file, partial, storage);
    const download = new BlobDownload(file, partial, context);
    const hash = beginContentHash(createHash, file.hash.kind, file.sizeInBytes);
    await hashFrom(hash, partial, partial.sizeInBytes, signal);
    return await download.run(hash).catch(async (error) => {
      filledUp = isFull(error);
      throw filledUp ? await diskFull(file, file.sizeInBytes - partial.sizeInBytes, storage, error) : error;
    });
  } finally {
    const isEmpty = partial.sizeInBytes === 0 && file.sizeInBytes > 0;
    await partial.close().catch((error) => {
      if (!filledUp) throw error;
    });
    // A disk that filled up on the way gets its space back; nothing else costs what was received.
    if (filledUp || isEmpty) await storage.remove(path);
  }
}

/** Too little space is said before the first byte, not at 97 percent. */
async function expectSpace(file: HubFile, partial: PartialFile, storage: CacheStorage): Promise<void> {
  const have = await storage.freeSpaceInBytes();
  const need = file.sizeInBytes - partial.sizeInBytes;
  if (have === undefined || need <= have) return;
  throw await diskFull(file, need, storage);
}

async function diskFull(file: HubFile, need: number, storage: CacheStorage, cause?: unknown): Promise<Phi3Error> {
  return new Phi3Error({
    code: storage.kind === 'folder' ? 'DISK_FULL' : 'QUOTA',
    function: 'fetchCheckpoint',
    expected: `${need} bytes of free space`,
    got: `${(await storage.freeSpaceInBytes()) ?? 'fewer'} bytes`,
    where: { file: file.name },
    hint:
      storage.kind === 'folder'
        ? `Free space, or set HF_HUB_CACHE to a folder on another disk than ${storage.place}.`
        : 'The browser grants this page no more; ask for persistent storage, or keep the model in memory.',
    cause,
  });
}

/** One file on its way: as many requests as it takes, each from where the last one ended. */
class BlobDownload {
  private hash!: StreamingHash;
  private etag: string | undefined;
  private readonly etagPath: string;

  constructor(
    private readonly file: HubFile,
    private readonly partial: PartialFile,
    private readonly context: DownloadContext,
  ) {
    this.etagPath = `${cachePaths.blobs(context.repository)}/${partialEtagName(file.hash.digits)}`;
  }

  /** @returns what is wrong with the whole file, or undefined */
  async run(hash: StreamingHash): Promise<string | undefined> {
    const { file, partial, context } = this;
    const { transport, storage, signal } = context;
    this.hash = hash;
    const saved = partial.sizeInBytes > 0 ? await storage.readSmallFile(this.etagPath) : undefined;
    this.etag = saved && new TextDecoder().decode(saved);
    context.onStart?.(partial.sizeInBytes);

    let failures = 0;
    while (partial.sizeInBytes < file.sizeInBytes) {
      const before = partial.sizeInBytes;
      let fault: string | undefined;
      try {
        fault = await this.fetchOnce();
      } catch (cause) {
        if (isPhi3Error(cause) || signal?.aborted || isSystemError(cause)) throw cause;
        // A connection that broke after it brought something is not held against the server.
        failures = partial.sizeInBytes - before >= enoughProgressInBytes ? 1 : failures + 1;
        if (failures > transport.maxRetries) throw connectionLost(file, partial, failures, cause);
        await transport.clock.sleep(retryDelayMs(failures - 1, null, transport.clock), signal);
        continue;
      }
      if (fault !== undefined) return fault;
    }
    const digits = this.hash.digest();
    return digits === file.hash.digits ? undefined : `${file.hash.kind} ${digits}`;
  }

  /** One request. Returns what shows that the content is another than the file, or undefined. */
  private async fetchOnce(): Promise<string | undefined> {
    const { file, partial, context } = this;
    const { transport, repository, commit, signal } = context;
    const offset = partial.sizeInBytes;
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (offset > 0) {
      headers.range = `bytes=${offset}-`;
      if (this.etag !== undefined) headers['if-range'] = this.etag;
    }
    const response = await transport.request({
      url: resolveUrl(transport.endpoint, repository, commit, file.name),
      init: { headers },
      repository,
      revision: commit,
      file: file.name,
      signal,
      accept: [416],
    });
    if (response.status === 416) {
      await response.body?.cancel();
      await this.restart();
      throw new Error(`status 416 for the bytes from ${offset}`);
    }
    if (response.status === 206 && !this.continues(response, offset)) {
      await response.body?.cancel();
      await this.restart();
      throw new Error(`status 206 with other bytes than those from ${offset}`);
    }
    // The length of a compressed body is not that of the file; bytes are counted as they are decoded.
    const isPlain = (response.headers.get('content-encoding') ?? 'identity') === 'identity';
    const declared = isPlain ? Number(response.headers.get('content-length') ?? 0) : 0;
    // 200 is the whole file: the server knows no ranges, or the file is another one by now (If-Range).
    if (response.status !== 206 && offset > 0) await this.restart();
    if (partial.sizeInBytes === 0) await this.keepEtag(response);
    return this.receive(response, declared > file.sizeInBytes - partial.sizeInBytes ? declared : undefined);
  }

  /** Whether a 206 brings the bytes that are missing, of the same file as before. */
  private continues(response: Response, offset: number): boolean {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    if (range === null || Number(range[1]) !== offset) return false;
    if (range[2] !== '*' && Number(range[2]) !== this.file.sizeInBytes) return false;
    if (Number(response.headers.get('content-length') ?? 0) > this.file.sizeInBytes - offset) return false;
    const etag = response.headers.get('etag');
    return this.etag === undefined || etag === null || etag === this.etag;
  }

  /** @param tooLong - the length of a body that cannot be this file; it is read only as far as it takes to say what it is */
  private async receive(response: Response, tooLong: number | undefined): Promise<string | undefined> {
    const { file, partial, context } = this;
    const { transport, signal } = context;
    let start: Uint8Array<ArrayBufferLike> = new Uint8Array();
    let isSniffed = partial.sizeInBytes > 0;
    for await (const bytes of bodyOf(response, transport, signal)) {
      let piece = bytes;
      if (!isSniffed) {
        start = joined(start, bytes);
        if (start.byteLength < Math.min(sniffedInBytes, file.sizeInBytes)) continue;
        rejectWrongContent(file.name, start);
        isSniffed = true;
        piece = start;
      }
      if (tooLong !== undefined) return `a body of ${tooLong} bytes`;
      if (piece.byteLength > file.sizeInBytes - partial.sizeInBytes) return `more than ${file.sizeInBytes} bytes`;
      await partial.append(piece);
      this.hash.update(piece);
      context.onBytes?.(partial.sizeInBytes);
    }
    if (!isSniffed && start.byteLength > 0) rejectWrongContent(file.name, start);
    if (!isSniffed) {
      // Shorter than what the sniffing waits for: a small file, or one that was cut off near its beginning.
      await partial.append(start);
      this.hash.update(start);
    }
    if (partial.sizeInBytes < file.sizeInBytes) throw new Error(`the body ended at ${partial.sizeInBytes} bytes`);
    return undefined;
  }

  private async restart(): Promise<void> {
    await this.partial.clear();
    this.hash = beginContentHash(this.context.createHash, this.file.hash.kind, this.file.sizeInBytes);
    this.etag = undefined;
  }

  /** If-Range takes only strong tags (RFC 9110 §13.1.5). */
  private async keepEtag(response: Response): Promise<void> {
    const etag = response.headers.get('etag');
    this.etag = etag !== null && /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : undefined;
    const { storage } = this.context;
    if (this.etag === undefined) await storage.remove(this.etagPath);
    else await storage.writeSmallFile(this.etagPath, new TextEncoder().encode(this.etag));
  }
}

/** A connection that brings less than this before it breaks counts as one that brings nothing. */
const enoughProgressInBytes = 2 ** 20;

async function writeRecord(
  file: HubFile,
  path: string,
  { storage, createHash, repository }: DownloadContext,
): Promise<void> {
  const source = await storage.open(path);
  try {
    const record: BlobRecord = { sizeInBytes: file.sizeInBytes, samples: await hashSamples(createHash, source) };
    const text = new TextEncoder().encode(JSON.stringify(record));
    await storage.writeSmallFile(cachePaths.record(repository, file.hash.digits), text);
  } finally {
    await source.close();
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.byteLength + b.byteLength);
  both.set(a);
  both.set(b, a.byteLength);
  return both;
}

/** A store without room, as this package says it and as storages of other makers may. */
function isFull(error: unknown): boolean {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return ['DISK_FULL', 'QUOTA', 'ENOSPC', 'EDQUOT'].includes(String(code)) || name === 'QuotaExceededError';
}

/** What the operating system or the browser's storage says; trying again would not change it. */
function isSystemError(error: unknown): boolean {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return (
    (typeof code === 'string' && /^E(?:NOSPC|ROFS|ACCES|PERM|IO|DQUOT|MFILE)$/.test(code)) ||
    name === 'QuotaExceededError'
  );
}

function connectionLost(file: HubFile, partial: PartialFile, failures: number, cause: unknown): Phi3Error {
  return new Phi3Error<HubErrorCode>({
    code: 'NET',
    function: 'fetchCheckpoint',
    expected: `${file.sizeInBytes} bytes`,
    got: `${partial.sizeInBytes}, and ${failures} connections that brought little or nothing (${String((cause as Error)?.message ?? cause)})`,
    where: { file: file.name, offset: partial.sizeInBytes },
    hint: 'What was received is kept; the next call goes on from there.',
    retryable: true,
    cause,
  });
}

function integrityError(file: HubFile, fault: string, quarantine: string | undefined): Phi3Error {
  return new Phi3Error<HubErrorCode>({
    code: 'INTEGRITY',
    function: 'fetchCheckpoint',
    expected: `${file.sizeInBytes} bytes with ${file.hash.kind} ${file.hash.digits}`,
    got: fault,
    where: { file: file.name },
    hint: `Two downloads were wrong${quarantine === undefined ? '' : `; the last one lies in ${quarantine}`}. The server, or something before it, changes the file.`,
  });
}
