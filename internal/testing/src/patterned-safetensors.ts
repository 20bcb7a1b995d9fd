import type { RangedFile } from './range-server.ts';

export interface PatternedSafetensors extends RangedFile {
  readonly largestTensorInBytes: number;
}

/**
 * A safetensors file of any size, made as it is read and held by nobody: BF16 numbers of about ±0.01 that mean nothing, the
 * same for the same place.
 *
 * @param shapes - of the tensors, by name
 */
export function patternedSafetensors(shapes: Iterable<readonly [string, readonly number[]]>): PatternedSafetensors {
  const entries: Record<string, { dtype: string; shape: readonly number[]; data_offsets: [number, number] }> = {};
  let end = 0;
  let largestTensorInBytes = 0;
  for (const [name, shape] of shapes) {
    const sizeInBytes = 2 * shape.reduce((product, length) => product * length, 1);
    entries[name] = { dtype: 'BF16', shape, data_offsets: [end, end + sizeInBytes] };
    end += sizeInBytes;
    largestTensorInBytes = Math.max(largestTensorInBytes, sizeInBytes);
  }
  const json = JSON.stringify(entries);
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const head = new Uint8Array(8 + text.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(text.length), true);
  head.set(text, 8);
  return { ...patternedFile(head, head.length + end), largestTensorInBytes };
}

/** `head`, of an even number of bytes, and behind it numbers. */
function patternedFile(head: Uint8Array, sizeInBytes: number): RangedFile {
  const period = 2 ** 16 + 2; // not that of any row
  const pattern = new Uint8Array(period);
  let state = 1;
  for (let i = 0; i < period; i += 2) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pattern[i] = state >>> 24;
    pattern[i + 1] = state & 0x800000 ? 0xbc : 0x3c;
  }
  return {
    sizeInBytes,
    read(offset, length) {
      const out = new Uint8Array(length);
      let done = 0;
      if (offset < head.length) {
        out.set(head.subarray(offset, offset + length));
        done = Math.min(length, head.length - offset);
      }
      while (done < length) {
        const from = (offset + done) % period;
        const piece = pattern.subarray(from, Math.min(period, from + length - done));
        out.set(piece, done);
        done += piece.length;
      }
      return out;
    },
  };
}
