// How weights lie in memory. Sixteen rows of the matrix lie together, because the lanes of a vector are rows: a product needs
// no sum across lanes, one load of an activation serves 16 rows, and the same layout feeds the matrix-vector and the
// matrix-matrix product. A row that the matrix does not have is zero.

/** Per column 16 float32. */
export const F32: i32 = 0;
/** Per column 16 float16, interleaved by eights (see `vector.ts`). */
export const F16: i32 = 1;
/** Per column 16 bfloat16, interleaved likewise. */
export const BF16: i32 = 2;

// Blocks of 16 rows × 32 columns. Columns come in eight quads of four.
//
// Nibbles: 256 bytes; the 16 bytes number 4·j + b (j and b from 0 to 3) hold rows 4b to 4b+3, four bytes each, column 4j + i
// in the low nibble of byte i and column 16 + 4j + i in the high one.
// Bytes: 512 bytes; the 16 bytes number 4·j + b (j from 0 to 7) hold rows 4b to 4b+3: first columns (4j, 4j+2) of each
// row, then columns (4j+1, 4j+3). So a quad is two pairs in both, and both use the same activations.

/** Nibbles minus 8, times 16 float16 scales (interleaved by eights): 288 bytes. For Q4_0. */
export const NIBBLES: i32 = 3;
/** Signed bytes times 16 float16 scales: 544 bytes. For Q8_0 and Q5_0. */
export const BYTES: i32 = 4;
/**
 * Nibbles times 16 float32 scales, plus 16 float32 offsets: 384 bytes and 16 unused ones. For Q4_1 and Q4_K.
 *
 * Without the unused bytes the product from memory takes twice as long on Zen 4: vectors that lie across two cache lines seem
 * to wake its prefetcher.
 */
export const NIBBLES_OFFSET: i32 = 5;
/** Bytes times 16 float32 scales, plus 16 float32 offsets: 640 bytes. For Q5_1 and Q5_K. */
export const BYTES_OFFSET: i32 = 6;
/** Signed bytes times 16 float32 scales for each half of the columns: 640 bytes. For Q6_K. */
export const BYTES_HALVES: i32 = 7;

/** Bytes of 16 rows of `columns` weights. */
export function rowsSizeInBytes(layout: i32, columns: i32): usize {
  switch (layout) {
    case F32:
      return <usize>columns * 64;
    case F16:
    case BF16:
      return <usize>columns * 32;
    case NIBBLES:
      return (<usize>columns >> 5) * 288;
    case BYTES:
      return (<usize>columns >> 5) * 544;
    case NIBBLES_OFFSET:
      return (<usize>columns >> 5) * 400;
    default:
      return (<usize>columns >> 5) * 640;
  }
}
