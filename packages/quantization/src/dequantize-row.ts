import { decodeFloats, type FloatDtype, ShapeError, type WeightFormat } from '@phiblocks/tensor';
import { blockFormatOf } from './block-formats.ts';
import { dequantizeBlock } from './dequantize-block.ts';
import { halfAt } from './half-float.ts';
import { type BlockFormat, createQuantizedBlock, type QuantizedBlock } from './quantized-block.ts';
import { expectWholeBlocks } from './row-size.ts';

/**
 * The weights that the bytes of a row stand for, each the exact value of the format's formula rounded once to float32.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` and `ggml-quants.c`.
 *
 * @param format - how the bytes are stored
 * @param bytes - one row, or several behind each other: blocks never cross the end of a row
 * @param out - as many elements as the bytes hold weights
 * @returns `out`
 * @throws ShapeError `SHAPE` when bytes and `out` do not belong together
 * @throws ArgumentError `ARGUMENT` for an unknown format
 * @example
 * const bytes = quantizeRow('Q8_0', new Float32Array(32).fill(2));
 * dequantizeRow('Q8_0', bytes, new Float32Array(32))[0]; // => 1.9998779296875
 */
export function dequantizeRow(format: WeightFormat, bytes: Uint8Array, out: Float32Array): Float32Array {
  const layout = blockFormatOf('dequantizeRow', format);
  const sizeInBytes = expectWholeBlocks({ function: 'dequantizeRow', argument: 'out' }, format, out.length);
  if (bytes.length !== sizeInBytes) {
    throw new ShapeError({
      function: 'dequantizeRow',
      argument: 'bytes',
      expected: `${sizeInBytes} bytes for ${out.length} weights of ${format}`,
      got: bytes.length,
    });
  }
  if (layout === undefined) decodeFloatRow(format as FloatDtype, bytes, out);
  else dequantizeBlocks(layout, bytes, 0, out, createQuantizedBlock());
  return out;
}

/** Decodes a row of a float format. @internal */
export function decodeFloatRow(dtype: FloatDtype, bytes: Uint8Array, out: Float32Array): void {
  // The general decoder takes powers of two for every float16; here a row is read for every product.
  if (dtype === 'F16') for (let i = 0; i < out.length; i++) out[i] = halfAt(bytes, 2 * i);
  else decodeFloats(bytes, dtype, out);
}

/** Dequantizes whole blocks from `bytes[at]` until `out` is full. @internal */
export function dequantizeBlocks(
  layout: BlockFormat,
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  block: QuantizedBlock,
): void {
  const { weightsPerBlock, bytesPerBlock } = layout;
  for (let first = 0, source = at; first < out.length; first += weightsPerBlock, source += bytesPerBlock) {
    layout.unpack(bytes, source, block);
    dequantizeBlock(layout, block, out, first);
  }
}
