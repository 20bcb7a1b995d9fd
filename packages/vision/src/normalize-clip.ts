import type { FloatTensor } from '@phiblocks/tensor';
import { expectImage, type RgbImage } from './rgb-image.ts';

// Of OpenAI's CLIP preprocessing; `image_mean` and `image_std` in preprocessor_config.json.
const mean = [0.48145466, 0.4578275, 0.40821073];
const std = [0.26862954, 0.26130258, 0.27577711];

/**
 * Bytes to CLIP's normalised values, `(byte / 255 - mean) / std` per channel, every step rounded to float32 as torch does.
 *
 * Source: `image_processing_phi3_v.py` (torchvision `ToTensor`, then `Normalize`).
 *
 * @param image - 8-bit RGB
 * @returns `[3, height, width]`
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA`
 * @example
 * normalizeClip({ width: 1, height: 1, data: Uint8Array.of(0, 0, 255) }).data; // => [-1.7922625, -1.7520971, 2.1458969]
 */
export function normalizeClip(image: RgbImage): FloatTensor {
  expectImage('normalizeClip', image, 3);
  const { width, height, data: bytes } = image;
  const size = width * height;
  const data = new Float32Array(3 * size);
  const levels = new Float32Array(256);
  for (let channel = 0; channel < 3; channel++) {
    const mean32 = Math.fround(mean[channel]!);
    const std32 = Math.fround(std[channel]!);
    for (let byte = 0; byte < 256; byte++) {
      levels[byte] = Math.fround(Math.fround(byte / 255) - mean32) / std32;
    }
    for (let i = 0; i < size; i++) data[channel * size + i] = levels[bytes[3 * i + channel]!]!;
  }
  return { data, shape: [3, height, width] };
}
