import { ArgumentError, type ErrorDetails, ShapeError } from '@phiblocks/tensor';
import { encodeGgufHeader } from './encode-gguf-header.ts';
import { type GgmlType, ggmlTypeOfName, knownGgmlTypes } from './ggml-type.ts';
import type { TypedGgufValue } from './gguf-value.ts';

/** What the header of a GGUF file says about a tensor. */
export interface GgufTensorDescription {
  readonly name: string;
  /** A tensor type of ggml: a `WeightFormat`, or one that this package only moves as bytes (`IQ2_XS`, `I32`, …). */
  readonly format: string;
  /** Outermost dimension first: `[out, in]`. The file lists them the other way round. */
  readonly shape: readonly number[];
}

/** Where everything of a file goes. @internal */
export interface GgufLayout<T extends GgufTensorDescription> {
  /** Padded to the alignment. */
  readonly header: Uint8Array;
  /** In the order in which their bytes follow, each with zeros behind it up to the alignment. */
  readonly tensors: readonly { readonly tensor: T; readonly sizeInBytes: number; readonly paddingInBytes: number }[];
  readonly sizeInBytes: number;
}

/** ggml keeps a name in 64 bytes, of which the last is 0: llama.cpp refuses a file with a longer one. */
const longestNameInBytes = 63;

const mostDimensions = 4;

/** What the reader accepts, see `readTensorInfos`. */
const mostTensors = 65536;

/**
 * Checks the descriptions and lays out the file, version 3: metadata and tensors in the order given, each tensor on the
 * alignment. `general.alignment` is added where the alignment is not the usual 32 and the metadata does not say it.
 *
 * @internal
 */
export function layOutGguf<T extends GgufTensorDescription>(
  functionName: string,
  metadata: ReadonlyMap<string, TypedGgufValue>,
  tensors: readonly T[],
  givenAlignment: number | undefined,
): GgufLayout<T> {
  const [alignment, entries] = withAlignment(functionName, metadata, givenAlignment);
  if (tensors.length > mostTensors) {
    throw argumentError(functionName, 'tensors', `at most ${mostTensors} tensors, as many as the reader accepts`, {
      got: tensors.length,
    });
  }
  const names = new Set<string>();
  let end = 0;
  const placed = tensors.map((tensor, index) => {
    const type = checkDescription(functionName, tensor, index);
    if (names.has(tensor.name)) {
      throw argumentError(functionName, `tensors[${index}].name`, 'every name once', { got: tensor.name });
    }
    names.add(tensor.name);
    const sizeInBytes = sizeOf(functionName, tensor, type);
    const offset = end;
    end = Math.ceil((offset + sizeInBytes) / alignment) * alignment;
    return { tensor, typeId: type.id, offset, sizeInBytes, paddingInBytes: end - offset - sizeInBytes };
  });
  if (!Number.isSafeInteger(end)) throw argumentError(functionName, 'tensors', 'a file below 2^53 bytes', { got: end });
  const header = encodeGgufHeader(functionName, entries, placed, alignment);
  return { header, tensors: placed, sizeInBytes: header.length + end };
}

/** Checks the bytes that came for a tensor. @internal */
export function expectGgufTensorBytes(
  functionName: string,
  tensor: GgufTensorDescription,
  sizeInBytes: number,
  bytes: unknown,
): asserts bytes is Uint8Array {
  if (bytes instanceof Uint8Array && bytes.byteLength === sizeInBytes) return;
  throw new ShapeError({
    function: functionName,
    argument: 'bytes',
    expected: `${sizeInBytes} bytes for ${tensor.format} [${tensor.shape.join(', ')}]`,
    got: bytes instanceof Uint8Array ? `${bytes.byteLength} bytes` : bytes,
    where: { tensor: tensor.name },
  });
}

function withAlignment(
  functionName: string,
  metadata: ReadonlyMap<string, TypedGgufValue>,
  given: number | undefined,
): [alignment: number, metadata: ReadonlyMap<string, TypedGgufValue>] {
  const key = 'general.alignment';
  const stated = metadata.get(key);
  const alignment = given ?? stated?.value ?? 32;
  const isPower = typeof alignment === 'number' && alignment >= 8 && alignment <= 65536 && 2 ** 16 % alignment === 0;
  if (!isPower) {
    throw argumentError(functionName, 'alignment', 'a power of two from 8 to 65536', { got: alignment });
  }
  if (stated !== undefined && (stated.value !== alignment || stated.type !== 'uint32')) {
    throw argumentError(functionName, 'alignment', `the alignment as uint32 under ${key} of the metadata`, {
      got: stated.value,
      where: { key },
    });
  }
  if (stated !== undefined || alignment === 32) return [alignment, metadata];
  return [alignment, new Map([...metadata, [key, { type: 'uint32', value: alignment }]])];
}

function checkDescription(
  functionName: string,
  tensor: GgufTensorDescription,
  index: number,
): GgmlType & { id: number } {
  const { name, format } = tensor;
  const nameInBytes = typeof name === 'string' ? new TextEncoder().encode(name).length : 0;
  if (nameInBytes === 0 || nameInBytes > longestNameInBytes || /[\p{Surrogate}\0]/u.test(name)) {
    throw argumentError(
      functionName,
      `tensors[${index}].name`,
      `text of 1 to ${longestNameInBytes} bytes without zeros and lone surrogates`,
      { got: name },
    );
  }
  const type = ggmlTypeOfName(format);
  if (type === undefined) {
    throw argumentError(functionName, `tensors[${index}].format`, `one of ${knownGgmlTypes().join(', ')}`, {
      got: format,
      where: { tensor: name },
    });
  }
  return type;
}

function sizeOf(functionName: string, tensor: GgufTensorDescription, type: GgmlType): number {
  let size = 1;
  const isShape =
    Array.isArray(tensor.shape) &&
    tensor.shape.length >= 1 &&
    tensor.shape.length <= mostDimensions &&
    tensor.shape.every((dimension) => {
      size *= dimension;
      return Number.isSafeInteger(dimension) && dimension >= 1 && Number.isSafeInteger(size);
    });
  const { weightsPerBlock, bytesPerBlock } = type;
  const sizeInBytes = (size / weightsPerBlock) * bytesPerBlock;
  if (!isShape || tensor.shape.at(-1)! % weightsPerBlock !== 0 || !Number.isSafeInteger(sizeInBytes)) {
    throw new ShapeError({
      function: functionName,
      argument: 'shape',
      expected: `1 to ${mostDimensions} whole numbers from 1 up, the last a multiple of ${weightsPerBlock} for ${type.name}`,
      got: tensor.shape,
      where: { tensor: tensor.name },
    });
  }
  return sizeInBytes;
}

function argumentError(
  functionName: string,
  argument: string,
  expected: string,
  details: Pick<ErrorDetails, 'got' | 'where'>,
): ArgumentError {
  return new ArgumentError({ function: functionName, argument, expected, ...details });
}
