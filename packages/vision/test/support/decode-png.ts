import { inflateSync } from 'node:zlib';
import { grayToRgb, type RgbImage, rgbaToRgb } from '../../src/index.ts';

/**
 * A PNG decoder for trusted test pictures: 8 bits per sample, not interlaced; grey, RGB, palette, RGBA. Alpha is removed
 * by the package's own rule, palette transparency is ignored.
 */
export function decodePng(file: Uint8Array): RgbImage {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let width = 0;
  let height = 0;
  let colorType = -1;
  let palette = new Uint8Array(0);
  const compressed: Uint8Array[] = [];
  for (let offset = 8; offset < file.length; ) {
    const length = view.getUint32(offset);
    const type = String.fromCharCode(...file.subarray(offset + 4, offset + 8));
    const body = file.subarray(offset + 8, offset + 8 + length);
    if (type === 'IHDR') {
      width = view.getUint32(offset + 8);
      height = view.getUint32(offset + 12);
      colorType = body[9]!;
      if (body[8] !== 8 || body[12] !== 0) throw new Error('only 8 bits per sample without interlacing');
    } else if (type === 'PLTE') palette = body.slice();
    else if (type === 'IDAT') compressed.push(body);
    offset += 12 + length;
  }
  const channels = { 0: 1, 2: 3, 3: 1, 6: 4 }[colorType];
  if (channels === undefined) throw new Error(`colour type ${colorType} is not expected`);
  const data = unfilter(inflateSync(Buffer.concat(compressed)), width * channels, height, channels);
  if (colorType === 0) return grayToRgb({ width, height, data });
  if (colorType === 6) return rgbaToRgb({ width, height, data });
  if (colorType === 2) return { width, height, data };
  const rgb = new Uint8Array(data.length * 3);
  for (const [i, index] of data.entries()) rgb.set(palette.subarray(3 * index, 3 * index + 3), 3 * i);
  return { width, height, data: rgb };
}

/** PNG specification, section 9: undoes the filter of every row. */
function unfilter(filtered: Uint8Array, rowLength: number, height: number, pixelLength: number): Uint8Array {
  const data = new Uint8Array(rowLength * height);
  for (let y = 0; y < height; y++) {
    const filter = filtered[y * (rowLength + 1)]!;
    for (let x = 0; x < rowLength; x++) {
      const at = y * rowLength + x;
      const left = x >= pixelLength ? data[at - pixelLength]! : 0;
      const up = y > 0 ? data[at - rowLength]! : 0;
      const upperLeft = x >= pixelLength && y > 0 ? data[at - rowLength - pixelLength]! : 0;
      const predictions = [0, left, up, (left + up) >> 1, filter === 4 ? paeth(left, up, upperLeft) : 0];
      data[at] = filtered[y * (rowLength + 1) + 1 + x]! + predictions[filter]!;
    }
  }
  return data;
}

function paeth(left: number, up: number, upperLeft: number): number {
  const estimate = left + up - upperLeft;
  const toLeft = Math.abs(estimate - left);
  const toUp = Math.abs(estimate - up);
  const toUpperLeft = Math.abs(estimate - upperLeft);
  if (toLeft <= toUp && toLeft <= toUpperLeft) return left;
  return toUp <= toUpperLeft ? up : upperLeft;
}
