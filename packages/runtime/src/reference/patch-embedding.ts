/**
 * Cuts an image into patches that do not overlap, each flattened channel by channel, row by row: the input of a linear
 * layer that equals a convolution whose stride is its size.
 *
 * @param pixels - `[channels, height, width]`
 * @param patchSize - edge of a patch in pixels; divides height and width
 * @returns `[patches, channels · patchSize²]`, patches row-major
 */
export function unfoldPatches(
  pixels: Float32Array,
  [channels, height, width]: readonly [number, number, number],
  patchSize: number,
): Float32Array {
  const across = width / patchSize;
  const down = height / patchSize;
  const out = new Float32Array(pixels.length);
  let next = 0;
  for (let patch = 0; patch < across * down; patch++) {
    const top = Math.floor(patch / across) * patchSize;
    const left = (patch % across) * patchSize;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < patchSize; y++) {
        const start = (channel * height + top + y) * width + left;
        out.set(pixels.subarray(start, start + patchSize), next);
        next += patchSize;
      }
    }
  }
  return out;
}
