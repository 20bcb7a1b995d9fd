// The 12 bytes S of Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima. The low six bits of S[0..3] are scales
// 0 to 3 and those of S[4..7] minima 0 to 3; their top two bits are the top bits of scales and minima 4 to 7, whose low
// four bits share the bytes S[8..11].
// Source: llama.cpp `ggml/src/ggml-quants.c` (get_scale_min_k4).

/** @internal */
export function unpackSixBitScales(bytes: Uint8Array, at: number, scales: Int8Array, minima: Uint8Array): void {
  for (let j = 0; j < 4; j++) {
    scales[j] = bytes[at + j]! & 63;
    minima[j] = bytes[at + j + 4]! & 63;
    scales[j + 4] = (bytes[at + j + 8]! & 15) | ((bytes[at + j]! >> 6) << 4);
    minima[j + 4] = (bytes[at + j + 8]! >> 4) | ((bytes[at + j + 4]! >> 6) << 4);
  }
}

/** @internal */
export function packSixBitScales(scales: Int8Array, minima: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let j = 0; j < 4; j++) {
    bytes[at + j] = scales[j]! | ((scales[j + 4]! >> 4) << 6);
    bytes[at + j + 4] = minima[j]! | ((minima[j + 4]! >> 4) << 6);
    bytes[at + j + 8] = (scales[j + 4]! & 15) | ((minima[j + 4]! & 15) << 4);
  }
}
