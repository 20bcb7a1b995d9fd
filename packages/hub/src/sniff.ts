import { Phi3Error } from '@phiblocks/tensor';
import { rejectForeignFile } from '@phiblocks/weights';
import type { HubErrorCode } from './error-codes.ts';

/** So many first bytes tell what a file is. */
export const sniffedInBytes = 128;

/**
 * Refuses bytes that cannot be the beginning of a file of that name: servers answer 200 with a page, a JSON error or a
 * git-LFS pointer.
 *
 * @param start - the first 128 bytes, or all of a shorter file
 * @throws Phi3Error `FILE_IS_HTML`, `FILE_IS_LFS_POINTER`, `HUB_CONTENT`
 */
export function rejectWrongContent(file: string, start: Uint8Array): void {
  const ending = /\.([a-z]+)$/.exec(file.toLowerCase())?.[1];
  const expected = ending === undefined ? undefined : beginnings.get(ending);
  if (expected === undefined || expected.fits(start)) return;
  rejectForeignFile(start, { function: 'fetchCheckpoint', file });
  throw new Phi3Error<HubErrorCode>({
    code: 'HUB_CONTENT',
    function: 'fetchCheckpoint',
    expected: expected.what,
    got: new TextDecoder().decode(start.subarray(0, 60)),
    where: { file, offset: 0 },
    hint: 'The server answered with something else than the file, often an error.',
  });
}

const beginnings = new Map<string, { what: string; fits(start: Uint8Array): boolean }>([
  ['gguf', { what: 'the magic GGUF', fits: (start) => String.fromCharCode(...start.subarray(0, 4)) === 'GGUF' }],
  // A header below 4 GB, and its opening brace.
  [
    'safetensors',
    {
      what: 'the length of a header and its opening brace',
      fits: (start) =>
        start.length > 8 && start[4] === 0 && start[5] === 0 && start[6] === 0 && start[7] === 0 && start[8] === 0x7b,
    },
  ],
  ['json', { what: 'JSON', fits: (start) => start.length === 0 || /^[{["\-0-9tfn]/.test(firstCharacter(start)) }],
  ['tiktoken', { what: 'lines of base64 and ranks', fits: (start) => /^[A-Za-z0-9+/]+={0,2} \d/.test(asciiOf(start)) }],
]);

function firstCharacter(bytes: Uint8Array): string {
  return (
    asciiOf(bytes)
      .replace(/^(?:\u00ef\u00bb\u00bf)?\s*/, '')
      .charAt(0) || ' '
  );
}

function asciiOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, sniffedInBytes));
}
