import { Phi3Error } from '@phiblocks/tensor';
import type { HubErrorCode } from './error-codes.ts';

/** Names that Windows gives to devices, with any extension. */
const windowsDevice = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to refuse
const controls = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const commitHash = /^[0-9a-f]{40}$/;

/**
 * Checks the id of a repository by the rules of the hub: `name` or `owner/name`, each of 1 to 96 letters, digits, `-`, `_`
 * and `.`, not beginning or ending with `-` or `.`, without `--` and `..`, not ending in `.git`.
 *
 * Source: huggingface_hub `utils/_validators.py`, `validate_repo_id`.
 *
 * @throws Phi3Error `HUB_NAME`
 */
export function checkRepositoryId(id: string): string {
  const parts = id.split('/');
  const isPlain =
    parts.length <= 2 &&
    parts.every((part) => /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$/.test(part)) &&
    !id.includes('--') &&
    !id.includes('..') &&
    !id.endsWith('.git');
  if (!isPlain) throw fault('model', 'an id as on the hub, for example microsoft/Phi-3-mini-4k-instruct', id);
  return id;
}

/**
 * Checks the name of a branch or tag (or a commit) by the rules of git, so that it can also be a path below `refs`.
 *
 * Source: `git help check-ref-format`.
 *
 * @throws Phi3Error `HUB_NAME`
 */
export function checkRevision(revision: string): string {
  const isPlain =
    revision.length > 0 &&
    revision.length <= 255 &&
    !controls.test(revision) &&
    !/[\s~^:?*[\\]|\.\.|@\{/.test(revision) &&
    revision.split('/').every((part) => isPlainSegment(part) && !part.startsWith('.') && !part.endsWith('.lock'));
  if (!isPlain) throw fault('revision', 'a branch, a tag or a commit', revision);
  return revision;
}

/** True for a full commit hash, the only revision that never changes its meaning. */
export function isCommitHash(revision: string): boolean {
  return commitHash.test(revision);
}

/**
 * Checks the path of a file in a repository: relative, without segments `.` and `..`, without backslashes, colons and control
 * characters, with no segment that Windows gives another meaning.
 *
 * @throws Phi3Error `HUB_NAME`
 */
export function checkFileName(name: string, argument = 'file'): string {
  if (!isFileName(name)) throw fault(argument, 'a relative path within the repository', name);
  return name;
}

/** Whether {@link checkFileName} accepts the name. */
export function isFileName(name: string): boolean {
  return (
    name.length > 0 &&
    name.length <= 1024 &&
    !controls.test(name) &&
    !/[\\:]/.test(name) &&
    name.split('/').every(isPlainSegment)
  );
}

function isPlainSegment(segment: string): boolean {
  return (
    segment.length > 0 &&
    segment.length <= 255 &&
    segment.trim() === segment &&
    !/^\.+$/.test(segment) &&
    !segment.endsWith('.') &&
    !windowsDevice.test(segment)
  );
}

function fault(argument: string, expected: string, got: string): Phi3Error {
  return new Phi3Error<HubErrorCode>({ code: 'HUB_NAME', function: 'fetchCheckpoint', argument, expected, got });
}
