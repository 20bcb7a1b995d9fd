import { type GgufContents, writeGguf } from '../gguf/write-gguf.ts';
import { writeFileAtomically } from './write-file-atomically.ts';

/**
 * Writes a GGUF file whole or not at all, for Node: into a new file beside the target, flushed to the disk and then renamed
 * over it. So a reader never sees half a file, a failure leaves the target as it was, and the tensors may come from the very
 * file that is replaced.
 *
 * @param path - target; replaced when it exists
 * @param contents - as for `writeGguf`
 * @returns the number of bytes written
 * @throws Phi3Error `DISK_FULL`, `FILE_NOT_FOUND` for a missing folder, `FILE_WRITE` with the system's error as cause, and
 * what `writeGguf` throws
 * @example
 * const metadata = new Map([['general.architecture', { type: 'string', value: 'phi3' }]]);
 * const tensors = [{ name: 'b', format: 'F32', shape: [2], bytes: new Uint8Array(8) }];
 * const sizeInBytes = await writeGgufFile(`${folder}/two.gguf`, { metadata, tensors });
 * sizeInBytes; // => 160
 */
export async function writeGgufFile(path: string, contents: GgufContents): Promise<number> {
  return writeFileAtomically('writeGgufFile', path, (sink) => writeGguf(sink, contents));
}
