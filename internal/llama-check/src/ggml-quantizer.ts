import { rowSizeInBytes } from '@phiblocks/quantization';
import koffi from 'koffi';

/** `enum ggml_type` of llama.cpp `ggml/include/ggml.h`. */
const typeIds = { Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14 } as const;

export type LlamaFormat = keyof typeof typeIds;
export const llamaFormats = Object.keys(typeIds) as LlamaFormat[];

/** llama.cpp's own quantizer. */
export interface GgmlQuantizer {
  /** The name that llama.cpp gives to the type we call `format`. */
  nameOf(format: LlamaFormat): string;
  /** Bytes of `rows × columns` weights. */
  quantize(format: LlamaFormat, values: Float32Array, rows: number, columns: number): Uint8Array;
  /** The weights that those bytes mean to llama.cpp. */
  dequantize(format: LlamaFormat, bytes: Uint8Array, count: number): Float32Array;
}

/** Opens a shared library of ggml; it stays loaded until the process ends. */
export function openGgmlQuantizer(path: string): GgmlQuantizer {
  const library = koffi.load(path);
  const typeName = library.func('const char *ggml_type_name(int type)');
  // type, values, bytes, first weight, rows, columns, importance; it returns the bytes written
  const quantizeChunk = library.func(
    'size_t ggml_quantize_chunk(int type, const float *src, _Out_ uint8_t *dst, int64_t start, int64_t nrows, int64_t n_per_row, const float *imatrix)',
  );
  return {
    nameOf: (format) => typeName(typeIds[format]),
    quantize(format, values, rows, columns) {
      const bytes = new Uint8Array(rows * rowSizeInBytes(format, columns));
      const written = Number(quantizeChunk(typeIds[format], values, bytes, 0, rows, columns, null));
      // More would have been written behind the array.
      if (written !== bytes.length) throw new Error(`${format}: ${written} bytes, not ${bytes.length}`);
      return bytes;
    },
    dequantize(format, bytes, count) {
      const name = `dequantize_row_${format.toLowerCase().replace('_k', '_K')}`;
      const dequantizeRow = library.func(`void ${name}(const uint8_t *x, _Out_ float *y, int64_t k)`);
      const out = new Float32Array(count);
      dequantizeRow(bytes, out, count);
      return out;
    },
  };
}
