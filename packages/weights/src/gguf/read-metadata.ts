import {
  type GgufArray,
  type GgufStoredType,
  type GgufValue,
  type GgufValueType,
  leastSizeInBytes,
  valueTypeOfId,
} from './gguf-value.ts';
import type { HeaderCursor } from './header-cursor.ts';

/** A metadata value with the type it was stored as. @internal */
export interface MetadataEntry {
  /** For an array its element type with brackets, `float32[]`; an array of arrays is `array[]`. */
  readonly type: GgufStoredType;
  readonly value: GgufValue;
}

/** The format's own limit for keys: 2^16 - 1 bytes. */
const longestKeyInBytes = 65535;

/** Published files have under a hundred keys; a limit keeps a header of nothing but keys from filling memory with objects. */
const mostKeys = 65536;

/**
 * Strings, truth values and nested arrays become objects of some tens of bytes each, more than they take in the file. The
 * largest vocabularies have 260,000 tokens and twice as many merges.
 */
const mostObjects = 4 * 1024 * 1024;

/** The format's description allows nesting without a bound; nothing published nests at all. */
const deepestNesting = 4;

/** Reads `count` pairs of key and value. @internal */
export async function readMetadata(cursor: HeaderCursor, count: number): Promise<Map<string, MetadataEntry>> {
  if (count > mostKeys) {
    throw cursor.error('GG_LIMIT', { expected: `at most ${mostKeys} metadata keys`, got: count });
  }
  const entries = new Map<string, MetadataEntry>();
  const budget = { objects: mostObjects };
  for (let i = 0; i < count; i++) {
    const { offset } = cursor;
    const key = await cursor.string({ key: `metadata key ${i}` });
    if (key === '' || cursor.offset - offset - 8 > longestKeyInBytes) {
      throw cursor.error('GG_NAME', {
        expected: `a key of 1 to ${longestKeyInBytes} bytes`,
        got: key,
        where: { offset },
      });
    }
    if (entries.has(key)) {
      throw cursor.error('GG_DUPLICATE_KEY', { expected: 'every key once', got: key, where: { offset, key } });
    }
    const type = await readType(cursor, key);
    if (type === 'array') {
      const { elementType, elements } = await readArray(cursor, key, budget, 1);
      entries.set(key, { type: `${elementType}[]`, value: elements });
    } else {
      entries.set(key, { type, value: await readScalar(cursor, type, key) });
    }
  }
  return entries;
}

async function readType(cursor: HeaderCursor, key: string): Promise<GgufValueType> {
  await cursor.need(4, { key });
  const { offset } = cursor;
  const id = cursor.u32();
  const type = valueTypeOfId(id);
  if (type === undefined) {
    throw cursor.error('GG_VALUE_TYPE', { expected: 'a value type from 0 to 12', got: id, where: { offset, key } });
  }
  return type;
}

interface Budget {
  objects: number;
}

async function readScalar(
  cursor: HeaderCursor,
  type: Exclude<GgufValueType, 'array'>,
  key: string,
): Promise<Exclude<GgufValue, GgufArray>> {
  if (type === 'string') return cursor.string({ key });
  const size = leastSizeInBytes(type);
  if (!cursor.has(size)) await cursor.need(size, { key });
  if (type === 'bool') return readBool(cursor, key);
  const { view, at } = cursor.take(size);
  switch (type) {
    case 'uint8':
      return view.getUint8(at);
    case 'int8':
      return view.getInt8(at);
    case 'uint16':
      return view.getUint16(at, true);
    case 'int16':
      return view.getInt16(at, true);
    case 'uint32':
      return view.getUint32(at, true);
    case 'int32':
      return view.getInt32(at, true);
    case 'float32':
      return view.getFloat32(at, true);
    case 'float64':
      return view.getFloat64(at, true);
    case 'uint64':
      return safeInteger(view.getBigUint64(at, true));
    case 'int64':
      return safeInteger(view.getBigInt64(at, true));
  }
}

function safeInteger(value: bigint): number | bigint {
  const asNumber = Number(value);
  return Number.isSafeInteger(asNumber) ? asNumber : value;
}

function readBool(cursor: HeaderCursor, key: string): boolean {
  const { offset } = cursor;
  const byte = cursor.u8();
  if (byte > 1) throw cursor.error('GG_VALUE', { expected: '0 or 1', got: byte, where: { offset, key } });
  return byte === 1;
}

async function readArray(
  cursor: HeaderCursor,
  key: string,
  budget: Budget,
  depth: number,
): Promise<{ elementType: GgufValueType; elements: GgufArray }> {
  if (depth > deepestNesting) {
    throw cursor.error('GG_NESTING', { expected: `arrays nested at most ${deepestNesting} deep`, where: { key } });
  }
  const type = await readType(cursor, key);
  const { offset } = cursor;
  const count = await cursor.count(`elements of type ${type}`, leastSizeInBytes(type), { key });
  if (type !== 'string' && type !== 'bool' && type !== 'array') {
    return { elementType: type, elements: await readNumbers(cursor, type, count, key) };
  }
  budget.objects -= count;
  if (budget.objects < 0) {
    throw cursor.error('GG_LIMIT', {
      expected: `at most ${mostObjects} strings, truth values and arrays in all`,
      got: count,
      where: { offset, key },
    });
  }
  return { elementType: type, elements: await readObjects(cursor, type, count, key, budget, depth) };
}

/** The lists grow with what has been read, not with what was declared. */
async function readObjects(
  cursor: HeaderCursor,
  type: 'string' | 'bool' | 'array',
  count: number,
  key: string,
  budget: Budget,
  depth: number,
): Promise<readonly string[] | readonly boolean[] | readonly GgufArray[]> {
  if (type === 'string') return readStrings(cursor, count, key);
  if (type === 'bool') {
    const values: boolean[] = [];
    for (let i = 0; i < count; i++) {
      if (!cursor.has(1)) await cursor.need(1, { key });
      values.push(readBool(cursor, key));
    }
    return values;
  }
  const arrays: GgufArray[] = [];
  for (let i = 0; i < count; i++) arrays.push((await readArray(cursor, key, budget, depth + 1)).elements);
  return arrays;
}

async function readStrings(cursor: HeaderCursor, count: number, key: string): Promise<string[]> {
  const strings: string[] = [];
  const where = { key };
  for (let i = 0; i < count; i++) {
    if (!cursor.has(8)) await cursor.need(8, where);
    // Nearly all strings are ready; those at the end of a piece go the long way.
    const length = cursor.peekStringLength();
    if (length >= 0) {
      cursor.take(8);
      strings.push(cursor.text(length, where));
    } else {
      strings.push(await cursor.string(where));
    }
  }
  return strings;
}

async function readNumbers(
  cursor: HeaderCursor,
  type: Exclude<GgufValueType, 'string' | 'bool' | 'array'>,
  count: number,
  key: string,
): Promise<GgufArray> {
  const size = leastSizeInBytes(type);
  // `count` elements are in the file: HeaderCursor.count. Whether the header may be that large is checked here.
  await cursor.need(count * size, { key });
  const bytes = new Uint8Array(count * size);
  cursor.copy(bytes);
  if (!isLittleEndianHost()) reverseEach(bytes, size);
  switch (type) {
    case 'uint8':
      return bytes;
    case 'int8':
      return new Int8Array(bytes.buffer);
    case 'uint16':
      return new Uint16Array(bytes.buffer);
    case 'int16':
      return new Int16Array(bytes.buffer);
    case 'uint32':
      return new Uint32Array(bytes.buffer);
    case 'int32':
      return new Int32Array(bytes.buffer);
    case 'float32':
      return new Float32Array(bytes.buffer);
    case 'uint64':
      return new BigUint64Array(bytes.buffer);
    case 'int64':
      return new BigInt64Array(bytes.buffer);
    case 'float64':
      return new Float64Array(bytes.buffer);
  }
}

function isLittleEndianHost(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

function reverseEach(bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}
