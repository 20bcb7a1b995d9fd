import { Phi3Error } from '@phiblocks/tensor';
import type { GgufErrorCode } from './error-codes.ts';
import type { GgufStoredType, GgufValue } from './gguf-value.ts';
import type { MetadataEntry } from './read-metadata.ts';

/** Integers of up to 32 bits, in the type in which the file stores them. */
export type GgufIntegerArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

/**
 * The metadata of a GGUF file, with typed getters. A file may store any type under any key, and a reader that trusts it
 * reads scores out of bytes. `get…` needs the key and throws `GG_KEY_MISSING` without it, `find…` gives `undefined`; both
 * throw `GG_KEY_TYPE` when the stored type is another.
 */
export interface GgufMetadata extends ReadonlyMap<string, GgufValue> {
  /** The type as which a key is stored; `undefined` where it is absent. */
  typeOf(key: string): GgufStoredType | undefined;
  /** A number of any numeric type; an integer beyond 2^53 counts as another type. */
  getNumber(key: string): number;
  findNumber(key: string): number | undefined;
  /** A number of an integer type; one beyond 2^53 counts as another type. */
  getInteger(key: string): number;
  findInteger(key: string): number | undefined;
  getBoolean(key: string): boolean;
  findBoolean(key: string): boolean | undefined;
  getString(key: string): string;
  findString(key: string): string | undefined;
  getStringArray(key: string): readonly string[];
  findStringArray(key: string): readonly string[] | undefined;
  getFloat32Array(key: string): Float32Array;
  findFloat32Array(key: string): Float32Array | undefined;
  getIntegerArray(key: string): GgufIntegerArray;
  findIntegerArray(key: string): GgufIntegerArray | undefined;
}

/** Wraps what was read. @internal */
export function createGgufMetadata(file: string, entries: ReadonlyMap<string, MetadataEntry>): GgufMetadata {
  return new TypedMetadata(file, entries);
}

class TypedMetadata extends Map<string, GgufValue> implements GgufMetadata {
  private readonly file: string;
  private readonly types = new Map<string, GgufStoredType>();

  constructor(file: string, entries: ReadonlyMap<string, MetadataEntry>) {
    super();
    this.file = file;
    for (const [key, { type, value }] of entries) {
      this.set(key, value);
      this.types.set(key, type);
    }
  }

  typeOf(key: string): GgufStoredType | undefined {
    return this.types.get(key);
  }

  getNumber(key: string): number {
    return this.present(key, 'a number', this.findNumber(key));
  }
  findNumber(key: string): number | undefined {
    return this.find(key, 'a number', isNumber);
  }

  getInteger(key: string): number {
    return this.present(key, 'an integer', this.findInteger(key));
  }
  findInteger(key: string): number | undefined {
    return this.find(key, 'an integer', isInteger);
  }

  getBoolean(key: string): boolean {
    return this.present(key, 'a bool', this.findBoolean(key));
  }
  findBoolean(key: string): boolean | undefined {
    return this.find(key, 'a bool', isBoolean);
  }

  getString(key: string): string {
    return this.present(key, 'a string', this.findString(key));
  }
  findString(key: string): string | undefined {
    return this.find(key, 'a string', isString);
  }

  getStringArray(key: string): readonly string[] {
    return this.present(key, 'an array of strings', this.findStringArray(key));
  }
  findStringArray(key: string): readonly string[] | undefined {
    return this.find(key, 'an array of strings', isStringArray);
  }

  getFloat32Array(key: string): Float32Array {
    return this.present(key, 'an array of float32', this.findFloat32Array(key));
  }
  findFloat32Array(key: string): Float32Array | undefined {
    return this.find(key, 'an array of float32', isFloat32Array);
  }

  getIntegerArray(key: string): GgufIntegerArray {
    return this.present(key, 'an array of integers up to 32 bits', this.findIntegerArray(key));
  }
  findIntegerArray(key: string): GgufIntegerArray | undefined {
    return this.find(key, 'an array of integers up to 32 bits', isIntegerArray);
  }

  private find<T extends GgufValue>(
    key: string,
    expected: string,
    accepts: (value: GgufValue, type: GgufStoredType) => value is T,
  ): T | undefined {
    const value = this.get(key);
    const type = this.types.get(key);
    if (value === undefined || type === undefined) return undefined;
    if (accepts(value, type)) return value;
    throw this.error('GG_KEY_TYPE', key, { expected, got: typeof value === 'bigint' ? value : type });
  }

  private present<T>(key: string, expected: string, value: T | undefined): T {
    if (value === undefined) throw this.error('GG_KEY_MISSING', key, { expected, got: undefined });
    return value;
  }

  private error(
    code: GgufErrorCode,
    key: string,
    details: { expected: string; got: unknown },
  ): Phi3Error<GgufErrorCode> {
    return new Phi3Error({ ...details, code, function: 'metadata', where: { file: this.file, key } });
  }
}

const isNumber = (value: GgufValue): value is number => typeof value === 'number';
const isInteger = (value: GgufValue, type: GgufStoredType): value is number =>
  typeof value === 'number' && type !== 'float32' && type !== 'float64';
const isBoolean = (value: GgufValue): value is boolean => typeof value === 'boolean';
const isString = (value: GgufValue): value is string => typeof value === 'string';
const isStringArray = (value: GgufValue, type: GgufStoredType): value is readonly string[] =>
  type === 'string[]' && Array.isArray(value);
const isFloat32Array = (value: GgufValue): value is Float32Array => value instanceof Float32Array;
const isIntegerArray = (value: GgufValue): value is GgufIntegerArray =>
  value instanceof Int32Array ||
  value instanceof Uint32Array ||
  value instanceof Int16Array ||
  value instanceof Uint16Array ||
  value instanceof Int8Array ||
  value instanceof Uint8Array;
