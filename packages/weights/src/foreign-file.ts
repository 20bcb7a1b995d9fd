import { Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from './byte-source.ts';

/** Enough to tell a pointer or a page from a checkpoint, behind white space or a byte order mark. */
const sniffedSizeInBytes = 128;

/**
 * Throws when bytes that turned out not to be what was expected are one of the two things that lie most often in the place
 * of a checkpoint: a git-LFS pointer or an HTML (or XML) page. Meant for the path where a file has already been found
 * wrong, to give the reason in place of a riddle about its first bytes.
 *
 * @param start - the first bytes of the file; 128 are enough
 * @param where - the public function that reads, and the file name
 * @throws Phi3Error `FILE_IS_LFS_POINTER` or `FILE_IS_HTML`
 * @example
 * rejectForeignFile(new Uint8Array([0x7b, 0x7d]), { function: 'read', file: 'model.safetensors' }); // => undefined
 */
export function rejectForeignFile(start: Uint8Array, where: { function: string; file: string }): void {
  let text = '';
  for (let i = 0; i < Math.min(start.length, sniffedSizeInBytes); i++) text += String.fromCharCode(start[i]!);
  if (text.startsWith('version https://git-lfs.')) {
    throw new Phi3Error({
      code: 'FILE_IS_LFS_POINTER',
      function: where.function,
      expected: 'the file itself',
      got: 'a git-LFS pointer',
      where: { file: where.file, offset: 0 },
      hint: 'Run git lfs pull, or download the file through its resolve URL',
    });
  }
  const firstWord = text.replace(/^(?:\u00ef\u00bb\u00bf)?\s+|^\u00ef\u00bb\u00bf/, '').toLowerCase();
  if (/^<(?:!doctype|html|head|body|\?xml|!--)/.test(firstWord)) {
    throw new Phi3Error({
      code: 'FILE_IS_HTML',
      function: where.function,
      expected: 'the file itself',
      got: 'a web page',
      where: { file: where.file, offset: 0 },
      hint: 'The server answered with a page, often an error or a login; check the URL and download again',
    });
  }
}

/**
 * {@link rejectForeignFile} for a file that is still to be read.
 *
 * @throws Phi3Error `FILE_IS_LFS_POINTER` or `FILE_IS_HTML`
 * @example
 * await rejectForeignSource(createByteSource(new Uint8Array([0x47]), 'model.gguf'), 'openGguf'); // => undefined
 */
export async function rejectForeignSource(source: ByteSource, functionName: string): Promise<void> {
  const start = await source.read(0, Math.min(sniffedSizeInBytes, source.sizeInBytes));
  rejectForeignFile(start, { function: functionName, file: source.name });
}
