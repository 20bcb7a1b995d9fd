// Writes GGUF files for tests, valid ones with every type and any lie: counts, lengths, offsets and bytes can each be
// given apart from the truth.

/** A metadata value to write. Numbers are written in the type that is named, whatever their range. */
export type ForgedValue =
  | { type: keyof typeof scalarTypes; value: number | bigint | boolean }
  | { type: 'string'; value: string | Uint8Array; length?: bigint }
  | { type: 'array'; of: string | number; values: readonly unknown[]; count?: bigint }
  | { type: 'raw'; id: number; bytes: Uint8Array };

export interface ForgedTensor {
  name: string | Uint8Array;
  /** Outermost first, as readers show it; written innermost first. */
  shape: readonly (number | bigint)[];
  type: number;
  bytes?: Uint8Array;
  /** Size of the data in place of `bytes`, filled with zeros. */
  sizeInBytes?: number;
  /** In place of the true offset. */
  offset?: bigint;
  /** In place of the true number of dimensions. */
  rank?: number;
}

export interface ForgedGguf {
  magic?: string;
  version?: number;
  isBigEndian?: boolean;
  metadata?: readonly (readonly [key: string | Uint8Array, value: ForgedValue])[];
  tensors?: readonly ForgedTensor[];
  /** In place of the true counts. */
  numTensors?: bigint;
  numKeys?: bigint;
  alignment?: number;
}

const scalarTypes = {
  uint8: [0, 1],
  int8: [1, 1],
  uint16: [2, 2],
  int16: [3, 2],
  uint32: [4, 4],
  int32: [5, 4],
  float32: [6, 4],
  bool: [7, 1],
  uint64: [10, 8],
  int64: [11, 8],
  float64: [12, 8],
} as const;

/** Type ids of tensors. */
export const ggml = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ2_XS: 17,
  BF16: 30,
} as const;

export function forgeGguf(file: ForgedGguf): Uint8Array<ArrayBuffer> {
  const { metadata = [], tensors = [], alignment = 32 } = file;
  const writer = new Writer(file.isBigEndian !== true);
  writer.bytes(new TextEncoder().encode(file.magic ?? 'GGUF'));
  writer.number('uint32', file.version ?? 3);
  writer.number('uint64', file.numTensors ?? BigInt(tensors.length));
  writer.number('uint64', file.numKeys ?? BigInt(metadata.length));
  for (const [key, value] of metadata) {
    writer.text(key);
    writeValue(writer, value);
  }
  const sizes = tensors.map((tensor) => tensor.bytes?.length ?? tensor.sizeInBytes ?? 0);
  const offsets: number[] = [];
  let end = 0;
  for (const size of sizes) {
    offsets.push(Math.ceil(end / alignment) * alignment);
    end = offsets.at(-1)! + size;
  }
  for (const [i, tensor] of tensors.entries()) {
    writer.text(tensor.name);
    writer.number('uint32', tensor.rank ?? tensor.shape.length);
    for (const dimension of [...tensor.shape].reverse()) writer.number('uint64', BigInt(dimension));
    writer.number('uint32', tensor.type);
    writer.number('uint64', tensor.offset ?? BigInt(offsets[i]!));
  }
  if (tensors.length > 0) {
    writer.pad(alignment);
    const start = writer.length;
    for (const [i, tensor] of tensors.entries()) {
      writer.bytes(new Uint8Array(start + offsets[i]! - writer.length));
      writer.bytes(tensor.bytes ?? new Uint8Array(sizes[i]!));
    }
  }
  return writer.finish();
}

function writeValue(writer: Writer, value: ForgedValue): void {
  if (value.type === 'raw') {
    writer.number('uint32', value.id);
    writer.bytes(value.bytes);
  } else if (value.type === 'string') {
    writer.number('uint32', 8);
    writer.text(value.value, value.length);
  } else if (value.type === 'array') {
    writer.number('uint32', 9);
    writeArray(writer, value.of, value.values, value.count);
  } else {
    writer.number('uint32', scalarTypes[value.type][0]);
    writer.number(value.type, value.value);
  }
}

/** `of` is a type name, `array` for nested arrays given as `[of, values]` pairs, or a type id that does not exist. */
function writeArray(writer: Writer, of: string | number, values: readonly unknown[], count?: bigint): void {
  const id = typeof of === 'number' ? of : of === 'string' ? 8 : of === 'array' ? 9 : scalarTypes[of as 'uint8'][0];
  writer.number('uint32', id);
  writer.number('uint64', count ?? BigInt(values.length));
  for (const value of values) {
    if (of === 'string') writer.text(value as string);
    else if (of === 'array') writeArray(writer, ...(value as [string, unknown[]]));
    else if (typeof of === 'string') writer.number(of as 'uint8', value as number);
  }
}

class Writer {
  length = 0;
  private readonly parts: Uint8Array[] = [];
  private readonly isLittleEndian: boolean;

  constructor(isLittleEndian: boolean) {
    this.isLittleEndian = isLittleEndian;
  }

  bytes(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  pad(alignment: number): void {
    this.bytes(new Uint8Array(Math.ceil(this.length / alignment) * alignment - this.length));
  }

  text(text: string | Uint8Array, length?: bigint): void {
    const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
    this.number('uint64', length ?? BigInt(bytes.length));
    this.bytes(bytes);
  }

  number(type: keyof typeof scalarTypes, value: number | bigint | boolean): void {
    const view = new DataView(new ArrayBuffer(scalarTypes[type][1]));
    const le = this.isLittleEndian;
    if (type === 'uint64') view.setBigUint64(0, BigInt(value), le);
    else if (type === 'int64') view.setBigInt64(0, BigInt(value), le);
    else if (type === 'float32') view.setFloat32(0, Number(value), le);
    else if (type === 'float64') view.setFloat64(0, Number(value), le);
    else if (type === 'uint32' || type === 'int32') view.setUint32(0, Number(value) >>> 0, le);
    else if (type === 'uint16' || type === 'int16') view.setUint16(0, Number(value) & 0xffff, le);
    else view.setUint8(0, Number(value) & 0xff);
    this.bytes(new Uint8Array(view.buffer));
  }

  finish(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
