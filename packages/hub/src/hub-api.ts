import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import type { HubErrorCode } from './error-codes.ts';
import { type ContentHash, contentHashOf } from './hashing.ts';
import { isCommitHash, isFileName } from './names.ts';
import type { Transport } from './transport.ts';

/** A file of a repository, as the hub lists it. */
export interface HubFile {
  /** Path within the repository. */
  readonly name: string;
  readonly sizeInBytes: number;
  /** What its bytes hash to. */
  readonly hash: ContentHash;
}

/** An answer of the interface is a page of a list; a hundred times what the largest has. */
const longestAnswerInBytes = 2 ** 26;
const mostFiles = 100_000;

/**
 * The commit that a branch or tag stands for now.
 *
 * @throws Phi3Error `HUB_REPOSITORY_NOT_FOUND`, `HUB_REVISION_NOT_FOUND`, `HUB_GATED`, `HUB_UNAUTHORIZED`, `NET`, `HUB_RESPONSE`
 */
export async function resolveRevision(
  transport: Transport,
  repository: string,
  revision: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { modelInfo } = await import('@huggingface/hub');
  const info = await answered({ repository, revision }, () =>
    modelInfo({
      name: repository,
      revision,
      additionalFields: ['sha'],
      hubUrl: transport.endpoint,
      fetch: apiFetch(transport, repository, revision, signal),
    }),
  );
  if (typeof info.sha !== 'string' || !isCommitHash(info.sha)) {
    throw responseError({ repository, revision }, 'a commit', info.sha);
  }
  return info.sha;
}

/**
 * All files of a repository at a commit. Names that could not be paths are left out: nothing can ask for them.
 *
 * @throws Phi3Error as {@link resolveRevision}
 */
export async function listRepository(
  transport: Transport,
  repository: string,
  commit: string,
  signal: AbortSignal | undefined,
): Promise<HubFile[]> {
  const { listFiles } = await import('@huggingface/hub');
  const subject = { repository, revision: commit };
  const files = new Map<string, HubFile>();
  await answered(subject, async () => {
    const entries = listFiles({
      repo: { type: 'model', name: repository },
      recursive: true,
      revision: commit,
      hubUrl: transport.endpoint,
      fetch: apiFetch(transport, repository, commit, signal),
    });
    for await (const { type, path, size, oid, lfs } of entries) {
      if (type !== 'file') continue;
      const hash = contentHashOf(String(lfs?.oid ?? oid));
      const isWhole = typeof path === 'string' && Number.isSafeInteger(size) && size >= 0 && hash !== undefined;
      if (!isWhole) throw responseError(subject, 'path, size and hash of every file', String(path));
      if (isFileName(path)) files.set(path, { name: path, sizeInBytes: lfs?.size ?? size, hash });
      if (files.size > mostFiles) throw responseError(subject, `at most ${mostFiles} files`, files.size);
    }
  });
  return [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The address of a file's bytes. */
export function resolveUrl(endpoint: string, repository: string, commit: string, file: string): string {
  const path = file.split('/').map(encodeURIComponent).join('/');
  return `${endpoint}/${repository}/resolve/${commit}/${path}`;
}

/**
 * The `fetch` that `@huggingface/hub` is given. Faults become errors of this package in here, so that library never sees a
 * failed answer; nor does it see the token, which goes only where the transport lets it.
 */
function apiFetch(
  transport: Transport,
  repository: string,
  revision: string,
  signal: AbortSignal | undefined,
): typeof fetch {
  return async (input, init) => {
    const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
    const { response, text } = await transport.requestText(
      { url, init, repository, revision, signal },
      longestAnswerInBytes,
    );
    return new Response(text, { status: response.status, headers: response.headers });
  };
}

/** What the library throws over an answer it cannot read (broken JSON, no list) becomes an error of this package. */
async function answered<T>(subject: { repository: string; revision: string }, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (isPhi3Error(cause) || (cause as Error | null)?.name === 'AbortError') throw cause;
    throw responseError(
      subject,
      'the JSON of the hub interface',
      cause instanceof Error ? cause.message : cause,
      cause,
    );
  }
}

function responseError(
  { repository, revision }: { repository: string; revision: string },
  expected: string,
  got: unknown,
  cause?: unknown,
): Phi3Error {
  return new Phi3Error<HubErrorCode>({
    code: 'HUB_RESPONSE',
    function: 'fetchCheckpoint',
    expected,
    got,
    where: { file: repository, key: revision },
    hint: 'The endpoint may be a mirror that lacks the interface, or a page of the network in between.',
    cause,
  });
}
