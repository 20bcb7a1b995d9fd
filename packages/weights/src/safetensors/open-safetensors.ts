import { ArgumentError, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import type { WeightsErrorCode } from '../error-codes.ts';
import { rejectForeignSource } from '../foreign-file.ts';
import type { StoredTensor, WeightSource } from '../weight-source.ts';
import { parseHeader } from './parse-header.ts';
import { readTensorBytes, readTensorFloats, readTensorMatrix } from './read-tensor.ts';

/** How strictly to open a safetensors file. The limits guard memory; a real checkpoint stays far below them. */
export interface SafetensorsOptions {
  /** Largest header. Default: 100,000,000 bytes, the limit of the reference implementation. */
  maxHeaderSizeInBytes?: number | undefined;
  /** Most tensors. Default: 1,000,000. */
  maxTensors?: number | undefined;
  /** Largest `__metadata__`, keys and values together. Default: 2^20 bytes. */
  maxMetadataSizeInBytes?: number | undefined;
  /** Accept bytes between tensors that belong to none, with a warning for each run of them. For forensic use only. */
  allowHoles?: boolean | undefined;
  /** Check every number that is read as float or as matrix, and throw at the first NaN or infinity. Default: false. */
  scanFinite?: boolean | undefined;
}

/** An open safetensors file. */
export interface SafetensorsSource extends WeightSource {
  /** The strings that the file carries under `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Opens a safetensors file: reads its header and checks every number in it against the real size of the file. Tensors are
 * read later, each in its own range.
 *
 * Reads dtypes F32, F16 and BF16 as floats; the others of the format can be listed and read as bytes.
 *
 * @param source - the file; it is closed with the returned source, and at once when opening fails
 * @param options - limits and extra checks
 * @throws Phi3Error `ST_…` for what is wrong with the header (see `weightsErrorCodes`), `FILE_IS_LFS_POINTER` or
 * `FILE_IS_HTML` when something else lies in its place, `OPTION_UNKNOWN` for a misspelt option
 * @example
 * const bytes = encodeSafetensors([{ name: 'a', dtype: 'F32', shape: [2], bytes: new Uint8Array(8) }]);
 * const weights = await openSafetensors(createByteSource(bytes, 'model.safetensors'));
 * [...weights.tensors.keys()]; // => ['a']
 * (await weights.readFloats('a')).data; // => [0, 0]
 */
export async function openSafetensors(
  source: ByteSource,
  options: SafetensorsOptions = {},
): Promise<SafetensorsSource> {
  try {
    const checked = checkOptions(options);
    const header = await readHeader(source, checked.maxHeaderSizeInBytes);
    const { tensors, metadata, warnings } = parseHeader(header, source, checked);

    function find(functionName: string, name: string): StoredTensor {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw tensorNotFound(functionName, name, source.name);
      return tensor;
    }

    return {
      tensors,
      metadata,
      warnings,
      readBytes: async (name, into) => readTensorBytes(source, find('readBytes', name), into),
      readFloats: async (name) => readTensorFloats(source, find('readFloats', name), checked.scanFinite),
      readMatrix: async (name) => readTensorMatrix(source, find('readMatrix', name), checked.scanFinite),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close().catch(() => {}); // What is wrong with the file matters more than a failure to let go of it.
    throw error;
  }
}

/** A name that the checkpoint does not hold. */
export function tensorNotFound(functionName: string, name: string, file: string): Phi3Error {
  return new Phi3Error<WeightsErrorCode>({
    code: 'TENSOR_NOT_FOUND',
    function: functionName,
    argument: 'name',
    expected: 'the name of a tensor of this checkpoint',
    got: name,
    where: { file },
  });
}

/** The names that {@link SafetensorsOptions} knows. */
export const safetensorsOptionNames = [
  'maxHeaderSizeInBytes',
  'maxTensors',
  'maxMetadataSizeInBytes',
  'allowHoles',
  'scanFinite',
] as const;

function checkOptions(options: SafetensorsOptions) {
  expectKnownOptions('openSafetensors', options, safetensorsOptionNames);
  const checked = {
    maxHeaderSizeInBytes: options.maxHeaderSizeInBytes ?? 100_000_000,
    maxTensors: options.maxTensors ?? 1_000_000,
    maxMetadataSizeInBytes: options.maxMetadataSizeInBytes ?? 2 ** 20,
    allowHoles: options.allowHoles ?? false,
    scanFinite: options.scanFinite ?? false,
  };
  for (const name of ['maxHeaderSizeInBytes', 'maxTensors', 'maxMetadataSizeInBytes'] as const) {
    expectLimit('openSafetensors', name, checked[name]);
  }
  return checked;
}

/** A limit must be a number that can be compared with: with NaN every comparison would pass. */
export function expectLimit(functionName: string, name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new ArgumentError({ function: functionName, argument: name, expected: 'a whole number from 0 up', got: value });
}

async function readHeader(source: ByteSource, maxSizeInBytes: number): Promise<Uint8Array> {
  const file = { file: source.name, offset: 0 };
  if (source.sizeInBytes < 8) {
    await rejectForeignSource(source, 'openSafetensors');
    throw new Phi3Error<WeightsErrorCode>({
      code: 'ST_TRUNCATED',
      function: 'openSafetensors',
      expected: 'at least 8 bytes',
      got: source.sizeInBytes,
      where: file,
      hint: 'The file is cut off; download it again',
    });
  }
  const prefix = await source.read(0, 8);
  // As BigInt until it is known to be small: Number would round a length above 2^53.
  const declared = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  const available = source.sizeInBytes - 8;
  if (declared > BigInt(maxSizeInBytes)) {
    await rejectForeignSource(source, 'openSafetensors');
    throw new Phi3Error<WeightsErrorCode>({
      code: 'ST_HEADER_TOO_LARGE',
      function: 'openSafetensors',
      expected: `a header of at most ${maxSizeInBytes} bytes`,
      got: declared,
      where: file,
      hint: 'This is most likely not a safetensors file',
    });
  }
  if (declared === 0n || declared > BigInt(available)) {
    throw new Phi3Error<WeightsErrorCode>({
      code: 'ST_HEADER_LENGTH',
      function: 'openSafetensors',
      expected: `a header of 1 to ${available} bytes, as many as follow`,
      got: declared,
      where: file,
      hint: 'The file is cut off or not a safetensors file',
    });
  }
  return source.read(8, Number(declared));
}
