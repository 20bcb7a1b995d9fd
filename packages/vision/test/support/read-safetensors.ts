import { readFileSync } from 'node:fs';
import type { FloatTensor } from '@phiblocks/tensor';

export interface StoredTensor {
  shape: number[];
  data: Float32Array | Int32Array | Uint8Array;
}

/** A reader for trusted test data only: no checks. BF16 is widened to float32 (it is the upper half of one). */
export function readSafetensors(path: string): { names: string[]; get(name: string): StoredTensor } {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = new Map<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>(
    Object.entries(JSON.parse(file.toString('utf8', 8, 8 + headerLength))),
  );
  header.delete('__metadata__');
  return {
    names: [...header.keys()],
    get(name) {
      const entry = header.get(name);
      if (!entry) throw new Error(`${path} has no tensor ${name}`);
      const start = file.byteOffset + 8 + headerLength;
      const bytes = file.buffer.slice(start + entry.data_offsets[0], start + entry.data_offsets[1]) as ArrayBuffer;
      if (entry.dtype === 'F32') return { shape: entry.shape, data: new Float32Array(bytes) };
      if (entry.dtype === 'I32') return { shape: entry.shape, data: new Int32Array(bytes) };
      if (entry.dtype === 'U8') return { shape: entry.shape, data: new Uint8Array(bytes) };
      if (entry.dtype !== 'BF16') throw new Error(`${name}: dtype ${entry.dtype} is not expected`);
      const bits = Uint32Array.from(new Uint16Array(bytes), (upper) => upper << 16);
      return { shape: entry.shape, data: new Float32Array(bits.buffer) };
    },
  };
}

/** The tensor as float32, whatever it is stored in. */
export function floatTensor({ shape, data }: StoredTensor): FloatTensor {
  return { shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}
