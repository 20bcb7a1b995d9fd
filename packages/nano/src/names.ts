/**
 * The models of the package, by name.
 *
 * @example
 * nanoModelNames.includes('nano-mini'); // => true
 */
export const nanoModelNames = [
  'nano-mini',
  'nano-mini-long',
  'nano-small',
  'nano-medium',
  'nano-moe',
  'nano-vision',
] as const;

/** A model of the package. */
export type NanoModelName = (typeof nanoModelNames)[number];
