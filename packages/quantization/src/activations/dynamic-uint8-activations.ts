import { notFinite } from '../row-quantizer.ts';
import { roundTiesToEven } from './dynamic-int8-activations.ts';

/** Activations as unsigned bytes with one scale and one zero point. `x ≈ scale · (quant − zeroPoint)` */
export interface Uint8Activations {
  readonly length: number;
  readonly quants: Uint8Array;
  /** float32 */
  readonly scale: number;
  /** From 0 to 255. */
  readonly zeroPoint: number;
}

/**
 * ONNX's dynamic quantization of activations: the range from the smallest to the largest, zero included, is laid over 256
 * codes, and zero itself is exact. The bit width never changes with the input; only the scale and the zero point do.
 *
 * scale = (max(x, 0) − min(x, 0)) / 255, zeroPoint = round(−min / scale), quant = round(x / scale) + zeroPoint, halves to
 * even, saturated. All zero: scale 0 would divide by zero, so it is 1.
 *
 * Source: ONNX operator DynamicQuantizeLinear.
 *
 * @param x - float32 activations of one token, or of a tensor that shares a scale
 * @throws Phi3Error `WEIGHT_NOT_FINITE` for a NaN or an infinity
 * @example
 * const activations = dynamicUint8Activations(new Float32Array([-1, 0, 1.5, 4.1]));
 * activations.zeroPoint; // => 50
 * activations.quants; // => [0, 50, 125, 255]
 */
export function dynamicUint8Activations(x: Float32Array): Uint8Activations {
  let lowest = 0;
  let highest = 0;
  for (let i = 0; i < x.length; i++) {
    if (x[i]! - x[i]! !== 0) throw notFinite({ function: 'dynamicUint8Activations' }, i, x[i]!);
    lowest = Math.min(lowest, x[i]!);
    highest = Math.max(highest, x[i]!);
  }
  // In float64, because the range of two float32 numbers may be too large for a third.
  const range = Math.fround((highest - lowest) / 255);
  const scale = range === 0 ? 1 : range;
  const zeroPoint = Math.min(255, Math.max(0, roundTiesToEven(Math.fround(-lowest / scale))));
  const quants = new Uint8Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const quant = roundTiesToEven(Math.fround(x[i]! / scale)) + zeroPoint;
    quants[i] = Math.min(255, Math.max(0, quant));
  }
  return { length: x.length, quants, scale, zeroPoint };
}
