import { Phi3Error } from '@phiblocks/tensor';
import type { WeightsErrorCode } from '../error-codes.ts';
import { type JsonValue, parseStrictJsonMembers } from '../strict-json.ts';
import type { StoredTensor } from '../weight-source.ts';
import { bitsPerElement, knownDtypes } from './dtypes.ts';
import { faultOfTensorName } from './tensor-name.ts';

/** A header whose every number has been checked against the bytes that exist. */
export interface SafetensorsHeader {
  /** By name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The strings of `__metadata__`, empty when there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

export interface HeaderLimits {
  maxTensors: number;
  maxMetadataSizeInBytes: number;
  allowHoles: boolean;
}

/** `{"name":{"shape":[1]}}`: root, entry and list make three levels; the fourth leaves room, as the limit of the catalogue does. */
const maxDepth = 4;
/** Phi-3 needs at most 4, torch and numpy seldom more than 6. */
const maxRank = 8;
/** Entry, dtype, shape, eight dimensions, data_offsets and its two numbers make 14; the rest is room to name what is wrong. */
const maxValuesPerTensor = 64;
/** Real files have a handful. */
const maxMetadataEntries = 65_536;

/**
 * Parses and validates the header of a safetensors file.
 *
 * Source: the format description and the checks of the reference crate (`Metadata::validate`): names once, shapes times
 * dtype exactly as many bytes as `data_offsets` span, data contiguous from the first byte to the last.
 *
 * @param header - the header's bytes, without the length before them
 * @param file - name and real size of the file they come from
 */
export function parseHeader(
  header: Uint8Array,
  file: { name: string; sizeInBytes: number },
  limits: HeaderLimits,
): SafetensorsHeader {
  const dataStart = 8 + header.byteLength;
  const tensors: StoredTensor[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  const options = {
    function: 'openSafetensors',
    file: file.name,
    maxDepth,
    startOffset: 8,
    codes: {
      utf8: 'ST_HEADER_UTF8',
      syntax: 'ST_HEADER_JSON',
      depth: 'ST_HEADER_DEPTH',
      duplicate: 'ST_DUPLICATE_KEY',
      limit: 'ST_LIMIT',
    },
  };
  // Entry by entry: a header that lies costs the memory of what was right before the lie, not of the whole.
  const root = parseStrictJsonMembers(header, options, {
    maxValuesOf: (name) => (name === '__metadata__' ? maxMetadataEntries + 1 : maxValuesPerTensor),
    visit(name, entry) {
      if (name === '__metadata__') {
        metadata = parseMetadata(entry, file.name, limits.maxMetadataSizeInBytes);
      } else if (tensors.length < limits.maxTensors) {
        tensors.push(parseEntry(name, entry, file, dataStart));
      } else {
        throw fault('ST_LIMIT', `at most ${limits.maxTensors} tensors`, 'more', { file: file.name });
      }
    },
  });
  if (!(root instanceof Map)) {
    throw fault('ST_HEADER_ROOT', 'an object', kindOf(root), { file: file.name, offset: 8 });
  }
  tensors.sort((a, b) => a.offset - b.offset || a.sizeInBytes - b.sizeInBytes);
  const warnings = checkContiguous(tensors, file, dataStart, limits.allowHoles);
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata, warnings };
}

function parseEntry(
  name: string,
  entry: JsonValue,
  file: { name: string; sizeInBytes: number },
  dataStart: number,
): StoredTensor {
  const where = { file: file.name, tensor: name };
  const faultOfName = faultOfTensorName(name);
  if (faultOfName !== undefined) throw fault('ST_NAME', faultOfName, name, where);
  if (!(entry instanceof Map)) throw fault('ST_TENSOR_ENTRY', 'an object', kindOf(entry), where);
  for (const key of entry.keys()) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') {
      throw fault('ST_TENSOR_ENTRY', 'dtype, shape and data_offsets only', key, { ...where, key });
    }
  }
  const dtype: unknown = entry.get('dtype');
  const shape: unknown = entry.get('shape');
  const offsets: unknown = entry.get('data_offsets');
  if (typeof dtype !== 'string') throw fault('ST_TENSOR_ENTRY', 'a string', kindOf(dtype), { ...where, key: 'dtype' });
  if (!Array.isArray(shape)) throw fault('ST_TENSOR_ENTRY', 'a list', kindOf(shape), { ...where, key: 'shape' });
  if (!Array.isArray(offsets)) {
    throw fault('ST_TENSOR_ENTRY', 'a list', kindOf(offsets), { ...where, key: 'data_offsets' });
  }

  const bits = bitsPerElement(dtype);
  if (bits === undefined) {
    throw fault('ST_DTYPE_UNKNOWN', `one of ${knownDtypes()}`, dtype, { ...where, key: 'dtype' });
  }
  const neededSizeInBytes = sizeOf(shape, bits, where);
  const [begin, end] = parseOffsets(offsets, where);
  const dataSizeInBytes = file.sizeInBytes - dataStart;
  if (end > dataSizeInBytes) {
    throw new Phi3Error<WeightsErrorCode>({
      code: 'ST_DATA_RANGE',
      function: 'openSafetensors',
      expected: `data_offsets within the ${dataSizeInBytes} bytes of data`,
      got: offsets,
      where: { ...where, offset: dataStart + begin, key: 'data_offsets' },
      hint: 'The file is cut off or its header lies; compare its size with the published one and download it again',
    });
  }
  if (end - begin !== neededSizeInBytes) {
    throw fault(
      'ST_SIZE_MISMATCH',
      `${neededSizeInBytes} bytes for ${dtype} [${shape.join(', ')}]`,
      `${end - begin} bytes, data_offsets [${begin}, ${end}]`,
      { ...where, offset: dataStart + begin },
    );
  }
  return Object.freeze({
    name,
    format: dtype,
    shape: Object.freeze(shape),
    file: file.name,
    offset: dataStart + begin,
    sizeInBytes: neededSizeInBytes,
  });
}

/** Bytes of a tensor, every product checked: a product of safe integers that is itself safe has not been rounded. */
function sizeOf(shape: readonly unknown[], bits: number, where: { file: string; tensor: string }): number {
  if (shape.length > maxRank)
    throw fault('ST_RANK', `at most ${maxRank} dimensions`, shape.length, { ...where, key: 'shape' });
  let numElements = 1;
  for (const [axis, dimension] of shape.entries()) {
    if (!isCount(dimension)) {
      throw fault('ST_SHAPE', 'whole numbers from 0 to 2^53 - 1', dimension, { ...where, key: `shape[${axis}]` });
    }
    numElements *= dimension;
    if (!Number.isSafeInteger(numElements)) break;
  }
  const sizeInBits = numElements * bits;
  if (!Number.isSafeInteger(sizeInBits)) {
    throw fault('ST_SHAPE_OVERFLOW', 'fewer than 2^53 bits', shape, { ...where, key: 'shape' });
  }
  if (sizeInBits % 8 !== 0) {
    throw fault('ST_SUB_BYTE', `whole bytes from elements of ${bits} bits`, shape, { ...where, key: 'shape' });
  }
  return sizeInBits / 8;
}

function parseOffsets(offsets: readonly unknown[], where: { file: string; tensor: string }): [number, number] {
  const [begin, end] = offsets;
  if (offsets.length !== 2 || !isCount(begin) || !isCount(end) || begin > end) {
    throw fault('ST_OFFSETS', 'two whole numbers, the first not above the second', offsets, {
      ...where,
      key: 'data_offsets',
    });
  }
  return [begin, end];
}

/** A whole number that float64 holds exactly; -0 is none, since the format has only unsigned numbers. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

/** The data must belong to the tensors byte for byte: what overlaps multiplies memory, what is left over can hide a second file. */
function checkContiguous(
  tensors: readonly StoredTensor[],
  file: { name: string; sizeInBytes: number },
  dataStart: number,
  allowHoles: boolean,
): string[] {
  const warnings: string[] = [];
  let end = dataStart;
  let previous: StoredTensor | undefined;
  for (const tensor of tensors) {
    const where = { file: file.name, offset: tensor.offset, tensor: tensor.name };
    if (tensor.offset < end) {
      throw fault('ST_OVERLAP', `data from ${end} on, behind the other tensor`, [previous!.name, tensor.name], where);
    }
    if (tensor.offset > end) {
      const holeSizeInBytes = tensor.offset - end;
      if (!allowHoles) {
        throw fault(
          'ST_HOLE',
          `data from ${end} on, where the one before ends`,
          `${holeSizeInBytes} unused bytes`,
          where,
        );
      }
      warnings.push(`${file.name} has ${holeSizeInBytes} unused bytes from ${end} on.`);
    }
    end = tensor.offset + tensor.sizeInBytes;
    previous = tensor;
  }
  if (end !== file.sizeInBytes) {
    throw fault('ST_TRAILING_BYTES', `the end of the file at ${end}`, `${file.sizeInBytes - end} bytes more`, {
      file: file.name,
      offset: end,
    });
  }
  return warnings;
}

function parseMetadata(value: JsonValue, file: string, maxSizeInBytes: number): ReadonlyMap<string, string> {
  if (!(value instanceof Map)) {
    throw fault('ST_METADATA', 'an object', kindOf(value), { file, key: '__metadata__' });
  }
  const encoder = new TextEncoder();
  const metadata = new Map<string, string>();
  let sizeInBytes = 0;
  for (const [key, text] of value as ReadonlyMap<string, JsonValue>) {
    if (typeof text !== 'string') {
      throw fault('ST_METADATA', 'strings only', kindOf(text), { file, key: `__metadata__.${key}` });
    }
    sizeInBytes += encoder.encode(key).length + encoder.encode(text).length;
    metadata.set(key, text);
  }
  if (sizeInBytes > maxSizeInBytes) {
    throw fault('ST_METADATA', `at most ${maxSizeInBytes} bytes`, sizeInBytes, { file, key: '__metadata__' });
  }
  return metadata;
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'an object';
  return `a ${typeof value}`;
}

function fault(
  code: WeightsErrorCode,
  expected: string,
  got: unknown,
  where: { file: string; offset?: number; tensor?: string; key?: string },
): Phi3Error {
  return new Phi3Error<WeightsErrorCode>({ code, function: 'openSafetensors', expected, got, where });
}
