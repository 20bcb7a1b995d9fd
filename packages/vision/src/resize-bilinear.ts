import { expectImage, expectImageSize, type RgbImage } from './rgb-image.ts';

// Pillow's `Resample.c`: 32 bits less 8 for the sample and 2 for head room.
const fractionBits = 22;
const half = 1 << (fractionBits - 1);

/** For each output sample: where its window starts, how long it is, and its weights in fixed point. */
interface Windows {
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  /** `longest` weights per output sample, the unused ones 0. */
  readonly weights: Int32Array;
  readonly longest: number;
}

/**
 * Resizes as Pillow does with `BILINEAR`, bit for bit: a triangle filter that widens with the reduction (so shrinking
 * antialiases), weights rounded to 22 fractional bits, horizontal pass first, each pass rounded to 8 bits. A pass that
 * changes nothing is skipped.
 *
 * Source: Pillow 9.4 `Image.resize`; the same numbers as torchvision's `resize` of a Pillow image.
 *
 * @param image - 8-bit RGB
 * @param width - wanted width, pixels
 * @param height - wanted height, pixels
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE` (also for the wanted size), `IM_DATA`
 * @example
 * const image = { width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 100, 100, 100) };
 * resizeBilinear(image, 4, 1).data; // => [0, 0, 0, 25, 25, 25, 75, 75, 75, 100, 100, 100]
 */
export function resizeBilinear(image: RgbImage, width: number, height: number): RgbImage {
  expectImage('resizeBilinear', image, 3);
  expectImageSize('resizeBilinear', width, height);
  let { data } = image;
  if (width !== image.width) data = resizeRows(data, image.width, width, image.height);
  if (height !== image.height) data = resizeColumns(data, image.height, height, width);
  return { width, height, data: data === image.data ? data.slice() : data };
}

/** Triangle weights, normalised in float64, then rounded half away from zero (they are never negative). */
function triangleWindows(inSize: number, outSize: number): Windows {
  const scale = inSize / outSize;
  const support = Math.max(scale, 1);
  const longest = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outSize);
  const lengths = new Int32Array(outSize);
  const weights = new Int32Array(outSize * longest);
  const exact = new Float64Array(longest);
  for (let out = 0; out < outSize; out++) {
    const center = (out + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const length = Math.min(Math.trunc(center + support + 0.5), inSize) - start;
    let sum = 0;
    for (let i = 0; i < length; i++) {
      // Multiplied by the reciprocal, as Pillow does: dividing rounds differently.
      exact[i] = Math.max(1 - Math.abs((i + start - center + 0.5) * (1 / support)), 0);
      sum += exact[i]!;
    }
    for (let i = 0; i < length; i++) {
      weights[out * longest + i] = Math.trunc(0.5 + (exact[i]! / sum) * (1 << fractionBits));
    }
    starts[out] = start;
    lengths[out] = length;
  }
  return { starts, lengths, weights, longest };
}

// The sums below stay under 255.5 · 2²² (weights of a window sum to 2²² up to its rounding), so 32 bits hold them, and no
// result leaves 0 to 255 because no weight is negative.

function resizeRows(data: Uint8Array, inWidth: number, outWidth: number, height: number): Uint8Array {
  const { starts, lengths, weights, longest } = triangleWindows(inWidth, outWidth);
  const resized = new Uint8Array(outWidth * height * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      let from = (y * inWidth + starts[x]!) * 3;
      let red = half;
      let green = half;
      let blue = half;
      const end = x * longest + lengths[x]!;
      for (let i = x * longest; i < end; i++, from += 3) {
        const weight = weights[i]!;
        red += data[from]! * weight;
        green += data[from + 1]! * weight;
        blue += data[from + 2]! * weight;
      }
      resized[to] = red >> fractionBits;
      resized[to + 1] = green >> fractionBits;
      resized[to + 2] = blue >> fractionBits;
    }
  }
  return resized;
}

function resizeColumns(data: Uint8Array, inHeight: number, outHeight: number, width: number): Uint8Array {
  const { starts, lengths, weights, longest } = triangleWindows(inHeight, outHeight);
  const rowLength = width * 3;
  const resized = new Uint8Array(outHeight * rowLength);
  const sums = new Int32Array(rowLength);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(half);
    for (let i = 0; i < lengths[y]!; i++) {
      const weight = weights[y * longest + i]!;
      const from = (starts[y]! + i) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x]! += data[from + x]! * weight;
    }
    for (let x = 0; x < rowLength; x++) resized[y * rowLength + x] = sums[x]! >> fractionBits;
  }
  return resized;
}
