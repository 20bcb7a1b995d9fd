import { createSeededRandom } from '@phiblocks/testing';

// A picture that is transparent in places, as a PNG file and as the bytes that a decoder is to give. Written out here because
// the same file must reach Node and a browser.

const [width, height] = [61, 37];

/** Every alpha from 0 to 255 occurs, and under it any colour. */
export function makeTransparentPng(): { file: Uint8Array<ArrayBuffer>; width: number; height: number; rgb: number[] } {
  const random = createSeededRandom(5);
  const rgb: number[] = [];
  const rows: number[] = [];
  for (let y = 0; y < height; y++) {
    rows.push(0); // this row is not filtered
    for (let x = 0; x < width; x++) {
      const colour = [random.integer(256), random.integer(256), random.integer(256)];
      rgb.push(...colour);
      rows.push(...colour, (y * width + x) % 256);
    }
  }
  const header = [...bigEndian(width), ...bigEndian(height), 8, 6, 0, 0, 0]; // 8 bits of red, green, blue and alpha
  const chunks = [...chunk('IHDR', header), ...chunk('IDAT', zlibStored(rows)), ...chunk('IEND', [])];
  return { file: Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, ...chunks), width, height, rgb };
}

const bigEndian = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);

/** PNG, section 5.3: length, name, contents, and a CRC-32 of name and contents. */
function chunk(name: string, contents: readonly number[]): number[] {
  const named = [...name].map((character) => character.charCodeAt(0)).concat(contents);
  let crc = 0xffffffff;
  for (const byte of named) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return [...bigEndian(contents.length), ...named, ...bigEndian(~crc)];
}

/** RFC 1950 and 1951: a stream of one stored block, and its Adler-32. */
function zlibStored(bytes: readonly number[]): number[] {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  const { length } = bytes;
  return [
    0x78,
    1,
    1,
    length & 255,
    length >> 8,
    ~length & 255,
    (~length >> 8) & 255,
    ...bytes,
    ...bigEndian(b * 65536 + a),
  ];
}
