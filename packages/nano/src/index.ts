export type { NanoModelFiles } from './files.ts';
export { nanoModelFiles } from './load-files.ts';
export { type NanoModelName, nanoModelNames } from './names.ts';
