import { ArgumentError, type ErrorDetails } from '@phiblocks/tensor';
import { type GgufArray, type GgufValueType, idOfValueType, type TypedGgufValue } from './gguf-value.ts';

interface PlacedTensor {
  readonly tensor: { readonly name: string; readonly shape: readonly number[] };
  readonly typeId: number;
  readonly offset: number;
}

/** The reader's own limit for a header: a file with a longer one could not be read back without an option. */
const largestHeaderInBytes = 128 * 2 ** 20;

/** The limits of the reader, see `readMetadata`. */
const longestKeyInBytes = 65535;
const mostKeys = 65536;
const deepestNesting = 4;

/**
 * The header of a GGUF file, version 3, little-endian: counts, metadata, tensor entries, and zeros up to the alignment.
 *
 * Source: llama.cpp `gguf-py/gguf/gguf_writer.py`.
 *
 * @internal
 */
export function encodeGgufHeader(
  functionName: string,
  metadata: ReadonlyMap<string, TypedGgufValue>,
  tensors: readonly PlacedTensor[],
  alignment: number,
): Uint8Array {
  const writer = new HeaderWriter(functionName);
  if (metadata.size > mostKeys)
    throw writer.error(`at most ${mostKeys} keys, as many as the reader accepts`, metadata.size);
  writer.bytes(Uint8Array.of(0x47, 0x47, 0x55, 0x46)); // "GGUF"
  writer.u32(3);
  writer.u64(tensors.length);
  writer.u64(metadata.size);
  for (const [key, entry] of metadata) writeEntry(writer, key, entry);
  for (const { tensor, typeId, offset } of tensors) {
    writer.string(tensor.name, undefined);
    writer.u32(tensor.shape.length);
    for (const dimension of [...tensor.shape].reverse()) writer.u64(dimension); // innermost first
    writer.u32(typeId);
    writer.u64(offset);
  }
  return writer.finish(alignment);
}

function writeEntry(writer: HeaderWriter, key: string, { type, value }: TypedGgufValue): void {
  const keyInBytes = typeof key === 'string' ? new TextEncoder().encode(key).length : 0;
  if (keyInBytes === 0 || keyInBytes > longestKeyInBytes) {
    throw writer.error(`keys of 1 to ${longestKeyInBytes} bytes`, key);
  }
  writer.string(key, key);
  if (!type.endsWith('[]')) {
    const scalar = type as Exclude<GgufValueType, 'array'>;
    writer.u32(expectTypeId(writer, scalar, key));
    writeScalar(writer, scalar, value, key);
    return;
  }
  writer.u32(idOfValueType('array')!);
  writeArray(writer, type.slice(0, -2) as GgufValueType, value, key, 1);
}

function writeArray(writer: HeaderWriter, type: GgufValueType, value: unknown, key: string, depth: number): void {
  if (depth > deepestNesting) throw writer.error(`arrays nested at most ${deepestNesting} deep`, depth, key);
  writer.u32(expectTypeId(writer, type, key));
  const isNumbers = type !== 'array' && type !== 'bool' && type !== 'string';
  const isList = isNumbers ? elementTypeOf(value) === type : Array.isArray(value);
  if (!isList) throw writer.error(`an array of ${type}, as the reader gives it`, value, key);
  const elements = value as readonly unknown[];
  writer.u64(elements.length);
  if (type === 'array') {
    for (const element of elements) writeArray(writer, elementTypeOf(element) ?? 'string', element, key, depth + 1);
  } else {
    for (let i = 0; i < elements.length; i++) writeScalar(writer, type, elements[i], key);
  }
}

/** The stored type of an array's elements by its class. A list without elements passes for one of strings. */
function elementTypeOf(value: unknown): GgufValueType | undefined {
  if (value instanceof Uint8Array) return 'uint8';
  if (value instanceof Int8Array) return 'int8';
  if (value instanceof Uint16Array) return 'uint16';
  if (value instanceof Int16Array) return 'int16';
  if (value instanceof Uint32Array) return 'uint32';
  if (value instanceof Int32Array) return 'int32';
  if (value instanceof Float32Array) return 'float32';
  if (value instanceof Float64Array) return 'float64';
  if (value instanceof BigUint64Array) return 'uint64';
  if (value instanceof BigInt64Array) return 'int64';
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const [first] = value as GgufArray[number][];
  return typeof first === 'boolean' ? 'bool' : typeof first === 'string' ? 'string' : 'array';
}

function writeScalar(writer: HeaderWriter, type: Exclude<GgufValueType, 'array'>, value: unknown, key: string): void {
  if (type === 'string') {
    if (typeof value !== 'string') throw writer.error('a string', value, key);
    writer.string(value, key);
  } else if (type === 'bool') {
    if (typeof value !== 'boolean') throw writer.error('true or false', value, key);
    writer.u8(value ? 1 : 0);
  } else if (type === 'float32' || type === 'float64') {
    if (typeof value !== 'number') throw writer.error('a number', value, key);
    if (type === 'float32') writer.f32(value);
    else writer.f64(value);
  } else {
    writeInteger(writer, type, value, key);
  }
}

function writeInteger(
  writer: HeaderWriter,
  type: 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'uint64' | 'int64',
  value: unknown,
  key: string,
): void {
  const isSigned = type.startsWith('int');
  const bits = Number(type.replace(/\D+/, ''));
  const least = isSigned ? -(2n ** BigInt(bits - 1)) : 0n;
  const most = 2n ** BigInt(isSigned ? bits - 1 : bits) - 1n;
  const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value);
  const integer = isInteger ? BigInt(value as number | bigint) : undefined;
  if (integer === undefined || integer < least || integer > most) {
    throw writer.error(`a whole number that ${type} holds, as bigint beyond 2^53`, value, key);
  }
  writer.integer(integer, bits / 8);
}

function expectTypeId(writer: HeaderWriter, type: GgufValueType, key: string): number {
  const id = idOfValueType(type);
  if (id === undefined) throw writer.error('a value type of GGUF', type, key);
  return id;
}

/** Bytes that grow as they are written. */
class HeaderWriter {
  private readonly functionName: string;
  private readonly encoder = new TextEncoder();
  private buffer = new Uint8Array(4096);
  private view = new DataView(this.buffer.buffer);
  private length = 0;

  constructor(functionName: string) {
    this.functionName = functionName;
  }

  u8(value: number): void {
    this.view.setUint8(this.room(1), value);
  }

  u32(value: number): void {
    const at = this.room(4);
    this.view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.room(8);
    this.view.setBigUint64(at, BigInt(value), true);
  }

  f32(value: number): void {
    const at = this.room(4);
    this.view.setFloat32(at, value, true);
  }

  f64(value: number): void {
    const at = this.room(8);
    this.view.setFloat64(at, value, true);
  }

  /** Two's complement of any width up to 8 bytes. */
  integer(value: bigint, sizeInBytes: number): void {
    const at = this.room(sizeInBytes);
    for (let i = 0; i < sizeInBytes; i++) this.buffer[at + i] = Number(BigInt.asUintN(8, value >> BigInt(8 * i)));
  }

  bytes(values: Uint8Array): void {
    const at = this.room(values.length);
    this.buffer.set(values, at);
  }

  string(text: string, key: string | undefined): void {
    if (/\p{Surrogate}/u.test(text)) throw this.error('text without lone surrogates', text, key);
    const encoded = this.encoder.encode(text);
    this.u64(encoded.length);
    this.bytes(encoded);
  }

  /** A copy, with zeros up to a multiple of `alignment`. */
  finish(alignment: number): Uint8Array {
    this.room(Math.ceil(this.length / alignment) * alignment - this.length);
    return this.buffer.slice(0, this.length);
  }

  error(expected: string, got: unknown, key?: string): ArgumentError {
    const details: Omit<ErrorDetails, 'code'> = { function: this.functionName, argument: 'metadata', expected, got };
    return new ArgumentError(key === undefined ? details : { ...details, where: { key } });
  }

  /** Makes room behind what is written, zeros as yet, and returns where it begins. */
  private room(sizeInBytes: number): number {
    const at = this.length;
    this.length += sizeInBytes;
    if (this.length > largestHeaderInBytes) {
      throw this.error(
        `a header of at most ${largestHeaderInBytes} bytes, as large as the reader accepts`,
        this.length,
      );
    }
    if (this.length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.buffer.length, this.length));
      larger.set(this.buffer);
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
}
