import type { ByteSource } from '../src/index.ts';

/** What a forged file says; every field may lie. */
export interface Forgery {
  /** The header as text or bytes. */
  header: string | Uint8Array;
  /** Bytes behind the header: how many (counting up from 0) or which. Default: none. */
  data?: number | Uint8Array;
  /** The length written before the header. Default: the true one. */
  declaredLength?: bigint;
}

/** Puts a safetensors file together without checking anything. */
export function forgeSafetensors({ header, data = 0, declaredLength }: Forgery): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const rest = typeof data === 'number' ? Uint8Array.from({ length: data }, (_, i) => i) : data;
  const file = new Uint8Array(8 + text.length + rest.length);
  new DataView(file.buffer).setBigUint64(0, declaredLength ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(rest, 8 + text.length);
  return file;
}

/** One entry of a header as text. */
export function entry(name: string, dtype: string, shape: string, offsets: string): string {
  return `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
}

/** A file of one tensor, which is right unless told otherwise: F32 [2], 8 bytes. */
export function forgeOne(lies: {
  name?: string;
  dtype?: string;
  shape?: string;
  offsets?: string;
  data?: number;
}): Uint8Array {
  const { name = 'a', dtype = 'F32', shape = '[2]', offsets = '[0,8]', data = 8 } = lies;
  return forgeSafetensors({ header: `{${entry(name, dtype, shape, offsets)}}`, data });
}

/** A source that keeps account of what is asked of it. */
export interface CountingSource extends ByteSource {
  readonly reads: { offset: number; length: number }[];
  readonly isClosed: boolean;
}

/** Wraps a file in memory (or any source) and records every read before it is checked. */
export function createCountingSource(inner: ByteSource): CountingSource {
  const reads: { offset: number; length: number }[] = [];
  let isClosed = false;
  return {
    name: inner.name,
    sizeInBytes: inner.sizeInBytes,
    reads,
    get isClosed() {
      return isClosed;
    },
    read(offset, length, into) {
      reads.push({ offset, length });
      return inner.read(offset, length, into);
    },
    async close() {
      isClosed = true;
      await inner.close();
    },
  };
}
