// In the order of the reference crate (safetensors 0.8, `Dtype`). A writer sorts by it from the last to the first: larger
// elements come first, so that every tensor begins at a multiple of its element size.
const dtypesWithBits = [
  ['BOOL', 8],
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['C64', 64],
  ['F64', 64],
  ['I64', 64],
  ['U64', 64],
] as const;

/** A dtype of the safetensors format. All can be listed, read as bytes and written; F32, F16 and BF16 also read as floats. */
export type SafetensorsDtype = (typeof dtypesWithBits)[number][0];

/** Rank in the order of the reference writer, or -1 for a name that is no dtype of the format. */
export function rankOfDtype(name: string): number {
  return dtypesWithBits.findIndex(([known]) => known === name);
}

/** Bits of one element, or undefined for a name that is no dtype of the format. */
export function bitsPerElement(name: string): number | undefined {
  return dtypesWithBits.find(([known]) => known === name)?.[1];
}

/** Names of all dtypes, for messages. */
export function knownDtypes(): string {
  return dtypesWithBits.map(([name]) => name).join(', ');
}
