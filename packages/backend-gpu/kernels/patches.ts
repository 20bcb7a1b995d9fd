import type { Kernel, Numbers } from './kernel-types.ts';

/**
 * Cuts an image, held as rows of pixels channel after channel, into patches that do not overlap: a row per patch, channel by
 * channel, row by row.
 */
export function unfoldPatches(this: Kernel, pixels: Numbers, height: number, across: number, patchSize: number) {
  const patchRow = Math.floor((this.thread.z + 0.5) / across);
  const patchColumn = this.thread.z - patchRow * across;
  const area = patchSize * patchSize;
  const channel = Math.floor((this.thread.x + 0.5) / area);
  const place = this.thread.x - channel * area;
  const y = Math.floor((place + 0.5) / patchSize);
  const left = place - y * patchSize;
  return pixels[channel * height + patchRow * patchSize + y][0][patchColumn * patchSize + left];
}
