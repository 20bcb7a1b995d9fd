// Q5_0 and Q5_1: bit j of a little-endian 32-bit word is the fifth bit of weight j; behind the word, byte j holds the
// nibbles of weights j and j + 16. `lowest` is the code that the five bits 00000 stand for.

/** @internal */
export function unpackFiveBits(bytes: Uint8Array, at: number, codes: Int8Array, lowest: number): void {
  const low = bytes[at]! | (bytes[at + 1]! << 8); //       weights 0 to 15
  const high = bytes[at + 2]! | (bytes[at + 3]! << 8); // weights 16 to 31
  for (let j = 0; j < 16; j++) {
    const nibbles = bytes[at + 4 + j]!;
    codes[j] = ((nibbles & 15) | (((low >> j) & 1) << 4)) + lowest;
    codes[j + 16] = ((nibbles >> 4) | (((high >> j) & 1) << 4)) + lowest;
  }
}

/** @internal */
export function packFiveBits(codes: Int8Array, lowest: number, bytes: Uint8Array, at: number): void {
  let low = 0;
  let high = 0;
  for (let j = 0; j < 16; j++) {
    const first = codes[j]! - lowest;
    const second = codes[j + 16]! - lowest;
    low |= (first >> 4) << j;
    high |= (second >> 4) << j;
    bytes[at + 4 + j] = (first & 15) | ((second & 15) << 4);
  }
  bytes[at] = low & 255;
  bytes[at + 1] = low >> 8;
  bytes[at + 2] = high & 255;
  bytes[at + 3] = high >> 8;
}
