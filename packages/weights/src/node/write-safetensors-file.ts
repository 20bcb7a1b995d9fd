import type { TensorToWrite, WriteSafetensorsOptions } from '../safetensors/write-safetensors.ts';
import { writeSafetensors } from '../safetensors/write-safetensors.ts';
import { writeFileAtomically } from './write-file-atomically.ts';

/**
 * Writes a safetensors file whole or not at all, for Node: into a new file beside the target, flushed to the disk and then
 * renamed over it. So a reader never sees half a file, a failure leaves the target as it was, and the tensors may come from
 * the very file that is replaced.
 *
 * @param path - target; replaced when it exists
 * @param tensors - as for `writeSafetensors`
 * @param options - as for `writeSafetensors`
 * @returns the number of bytes written
 * @throws Phi3Error `DISK_FULL`, `FILE_NOT_FOUND` for a missing folder, `FILE_WRITE` with the system's error as cause, and
 * what `writeSafetensors` throws
 * @example
 * const tensors = [{ name: 'b', dtype: 'U8', shape: [2], bytes: new Uint8Array([1, 2]) }];
 * const sizeInBytes = await writeSafetensorsFile(`${folder}/two.safetensors`, tensors);
 * sizeInBytes; // => 66
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: readonly TensorToWrite[],
  options: WriteSafetensorsOptions = {},
): Promise<number> {
  return writeFileAtomically('writeSafetensorsFile', path, (sink) => writeSafetensors(sink, tensors, options));
}
