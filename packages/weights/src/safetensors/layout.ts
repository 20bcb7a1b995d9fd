import { ArgumentError, ShapeError } from '@phiblocks/tensor';
import { bitsPerElement, knownDtypes, rankOfDtype, type SafetensorsDtype } from './dtypes.ts';
import { faultOfTensorName } from './tensor-name.ts';

/** What the header of a safetensors file says about a tensor. */
export interface TensorDescription {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** Outermost dimension first; `[]` for a single number. */
  readonly shape: readonly number[];
}

/** The strings to write under `__metadata__`; `{ format: 'pt' }` is what Python's `transformers` asks for. */
export type SafetensorsMetadata = Readonly<Record<string, string>> | ReadonlyMap<string, string>;

/** Where everything of a file goes. */
export interface SafetensorsLayout<T extends TensorDescription> {
  /** Length and header, padded with spaces to a multiple of 8 bytes. */
  readonly header: Uint8Array;
  /** In the order in which their bytes follow. */
  readonly tensors: readonly { readonly tensor: T; readonly sizeInBytes: number }[];
  readonly sizeInBytes: number;
}

/** The limit of the reference implementation: a file with a longer header could not be read back. */
const maxHeaderSizeInBytes = 100_000_000;

/**
 * Checks the descriptions and lays out the file: largest elements first, then by name, as the reference implementation
 * does. So the same tensors give the same bytes in whatever order they come, and each is aligned to its element size.
 */
export function layOutSafetensors<T extends TensorDescription>(
  functionName: string,
  tensors: readonly T[],
  metadata: SafetensorsMetadata | undefined,
): SafetensorsLayout<T> {
  const encoder = new TextEncoder();
  const names = new Set<string>();
  const sorted = tensors.map((tensor, index) => {
    const rank = checkDescription(functionName, tensor, index);
    if (names.has(tensor.name)) {
      throw nameError(functionName, `tensors[${index}].name`, 'every name once', tensor.name);
    }
    names.add(tensor.name);
    return { tensor, rank, name: encoder.encode(tensor.name), sizeInBytes: sizeOf(functionName, tensor) };
  });
  sorted.sort((a, b) => b.rank - a.rank || compareBytes(a.name, b.name));

  const members: string[] = [];
  const strings = metadataEntries(functionName, metadata);
  if (strings.length > 0) {
    const pairs = strings.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
    members.push(`"__metadata__":{${pairs.join(',')}}`);
  }
  let end = 0;
  for (const { tensor, sizeInBytes } of sorted) {
    const begin = end;
    end += sizeInBytes;
    // Put together as text: a name such as `__proto__` never becomes an object key.
    const fields = `"dtype":"${tensor.dtype}","shape":[${tensor.shape.join(',')}],"data_offsets":[${begin},${end}]`;
    members.push(`${JSON.stringify(tensor.name)}:{${fields}}`);
  }
  const json = encoder.encode(`{${members.join(',')}}`);
  const headerSizeInBytes = Math.ceil(json.length / 8) * 8;
  if (headerSizeInBytes > maxHeaderSizeInBytes || !Number.isSafeInteger(8 + headerSizeInBytes + end)) {
    throw new ArgumentError({
      function: functionName,
      argument: 'tensors',
      expected: `a header of at most ${maxHeaderSizeInBytes} bytes and a file below 2^53`,
      got: `a header of ${headerSizeInBytes} bytes and ${end} bytes of data`,
    });
  }
  const header = new Uint8Array(8 + headerSizeInBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerSizeInBytes), true);
  header.set(json, 8);
  return { header, tensors: sorted, sizeInBytes: header.length + end };
}

/** Checks the bytes that came for a tensor. */
export function expectTensorBytes(
  functionName: string,
  tensor: TensorDescription,
  sizeInBytes: number,
  bytes: unknown,
): asserts bytes is Uint8Array {
  if (bytes instanceof Uint8Array && bytes.byteLength === sizeInBytes) return;
  throw new ShapeError({
    function: functionName,
    argument: 'bytes',
    expected: `${sizeInBytes} bytes for ${tensor.dtype} [${tensor.shape.join(', ')}]`,
    got: bytes instanceof Uint8Array ? `${bytes.byteLength} bytes` : bytes,
    where: { tensor: tensor.name },
  });
}

function checkDescription(functionName: string, tensor: TensorDescription, index: number): number {
  const { name, dtype } = tensor;
  const argument = `tensors[${index}].name`;
  if (typeof name !== 'string') throw nameError(functionName, argument, 'a string', name);
  if (name === '__metadata__') throw nameError(functionName, argument, 'a name other than that of the metadata', name);
  if (/\p{Surrogate}/u.test(name)) throw nameError(functionName, argument, 'text without lone surrogates', name);
  const fault = faultOfTensorName(name);
  if (fault !== undefined) throw nameError(functionName, argument, fault, name);
  const rank = rankOfDtype(dtype);
  if (rank < 0) {
    throw new ArgumentError({
      function: functionName,
      argument: `tensors[${index}].dtype`,
      expected: `one of ${knownDtypes()}`,
      got: dtype,
      where: { tensor: name },
    });
  }
  return rank;
}

function nameError(functionName: string, argument: string, expected: string, got: unknown): ArgumentError {
  return new ArgumentError({ function: functionName, argument, expected, got });
}

function sizeOf(functionName: string, tensor: TensorDescription): number {
  const bits = bitsPerElement(tensor.dtype)!;
  let size = bits;
  const isShape =
    Array.isArray(tensor.shape) &&
    tensor.shape.length <= 8 &&
    tensor.shape.every((dimension) => {
      size *= dimension;
      return (
        Number.isSafeInteger(dimension) && dimension >= 0 && !Object.is(dimension, -0) && Number.isSafeInteger(size)
      );
    });
  if (!isShape || size % 8 !== 0) {
    throw new ShapeError({
      function: functionName,
      argument: 'shape',
      expected: `at most 8 whole numbers that together fill whole bytes of ${bits}-bit elements`,
      got: tensor.shape,
      where: { tensor: tensor.name },
    });
  }
  return size / 8;
}

function metadataEntries(functionName: string, metadata: SafetensorsMetadata | undefined): [string, string][] {
  if (metadata === undefined) return [];
  const entries: [string, string][] = metadata instanceof Map ? [...metadata] : Object.entries(metadata);
  for (const [key, text] of entries) {
    if (typeof key !== 'string' || typeof text !== 'string' || /\p{Surrogate}/u.test(key + text)) {
      throw new ArgumentError({
        function: functionName,
        argument: 'metadata',
        expected: 'strings without lone surrogates',
        got: text,
        where: { key: String(key) },
      });
    }
  }
  // Sorted, so that the same strings give the same bytes.
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const sizeInBytes = entries.reduce((sum, [key, text]) => sum + new TextEncoder().encode(key + text).length, 0);
  if (sizeInBytes > 2 ** 20) {
    throw new ArgumentError({
      function: functionName,
      argument: 'metadata',
      expected: 'at most 2^20 bytes, as much as the reader accepts',
      got: sizeInBytes,
    });
  }
  return entries;
}

/** By bytes as the reference implementation, which differs from the order of UTF-16 units for some names. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
