// The 12 bytes S of Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima. The low six bits of S[0..3] are scales
// 0 to 3 and those of S[4..7] minima 0 to 3; their top two bits are the top bits of scales and minima 4 to 7, whose low
// four bits share the bytes S[8..11].
// Source: llama.cpp `ggml/src/ggml-quants.c` (get_scale_min_k4).

/** Scale `j` (0 to 7) of the 12 bytes at `offset`. @internal */
export function scaleAt(bytes: Uint8Array, offset: number, j: number): number {
  if (j < 4) return bytes[offset + j]! & 63;
  return (bytes[offset + j + 4]! & 15) | ((bytes[offset + j - 4]! >> 6) << 4);
}

/** Minimum `j` (0 to 7) of the 12 bytes at `offset`. @internal */
export function minimumAt(bytes: Uint8Array, offset: number, j: number): number {
  if (j < 4) return bytes[offset + j + 4]! & 63;
  return (bytes[offset + j + 4]! >> 4) | ((bytes[offset + j]! >> 6) << 4);
}
