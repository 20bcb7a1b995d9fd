/** An array of a GGUF file. Numbers come as the typed array of their stored type, so that the type is not lost. */
export type GgufArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array
  | readonly boolean[]
  | readonly string[]
  | readonly GgufArray[];

/** A metadata value. 64-bit integers are numbers where they are safe integers, otherwise bigint. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** The types of metadata values, spelled as the format's description spells them. */
export type GgufValueType =
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'float32'
  | 'bool'
  | 'string'
  | 'array'
  | 'uint64'
  | 'int64'
  | 'float64';

/** The type of a metadata value; an array shows the type of its elements. */
export type GgufStoredType = Exclude<GgufValueType, 'array'> | `${GgufValueType}[]`;

/** Type ids in the order of the format: `gguf-py/gguf/constants.py` of llama.cpp, GGUFValueType. @internal */
export function valueTypeOfId(id: number): GgufValueType | undefined {
  switch (id) {
    case 0:
      return 'uint8';
    case 1:
      return 'int8';
    case 2:
      return 'uint16';
    case 3:
      return 'int16';
    case 4:
      return 'uint32';
    case 5:
      return 'int32';
    case 6:
      return 'float32';
    case 7:
      return 'bool';
    case 8:
      return 'string';
    case 9:
      return 'array';
    case 10:
      return 'uint64';
    case 11:
      return 'int64';
    case 12:
      return 'float64';
    default:
      return undefined;
  }
}

/** The fewest bytes that one value of a type takes: a string has at least its length, an array type and count. @internal */
export function leastSizeInBytes(type: GgufValueType): number {
  switch (type) {
    case 'uint8':
    case 'int8':
    case 'bool':
      return 1;
    case 'uint16':
    case 'int16':
      return 2;
    case 'uint32':
    case 'int32':
    case 'float32':
      return 4;
    case 'uint64':
    case 'int64':
    case 'float64':
    case 'string':
      return 8;
    case 'array':
      return 12;
  }
}

/** A metadata value to write, with the type to store it as; an array is of the class that the reader gives. */
export interface TypedGgufValue {
  /** For an array the type of its elements with brackets: `string[]`, `float32[]`. */
  readonly type: GgufStoredType;
  readonly value: GgufValue;
}

/** The id of a type, undefined for a name that is none. @internal */
export function idOfValueType(type: string): number | undefined {
  for (let id = 0; id <= 12; id++) if (valueTypeOfId(id) === type) return id;
  return undefined;
}
