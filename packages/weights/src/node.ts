/**
 * Files and folders of weights on disk, for Node.
 *
 * @module @phiblocks/weights/node
 */
export type { ContainmentOptions } from './node/contained-file.ts';
export { openFileSource } from './node/open-file-source.ts';
export { openSafetensorsDirectory, type SafetensorsDirectoryOptions } from './node/open-safetensors-directory.ts';
export { writeGgufFile } from './node/write-gguf-file.ts';
export { writeSafetensorsFile } from './node/write-safetensors-file.ts';
