import { ArgumentError, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import { rejectForeignFile } from '../foreign-file.ts';
import type { WeightSource } from '../weight-source.ts';
import type { GgufErrorCode } from './error-codes.ts';
import { createGgufMetadata, type GgufMetadata } from './gguf-metadata.ts';
import { ggufTensorReader } from './gguf-tensor-reader.ts';
import { HeaderCursor } from './header-cursor.ts';
import { type MetadataEntry, readMetadata } from './read-metadata.ts';
import { leastTensorInfoInBytes, placeTensors, readTensorInfos } from './read-tensor-infos.ts';

/** How to open a GGUF file. */
export interface GgufOptions {
  /**
   * Largest header: metadata and tensor list. Default: 128 MB; the largest published vocabularies take about 15 MB. It
   * bounds the memory that a lying file can claim.
   */
  maxHeaderSizeInBytes?: number | undefined;
}

/** An open GGUF file, or a set of split ones. */
export interface GgufFile extends WeightSource {
  readonly version: 2 | 3;
  /** Tensor data begins at multiples of this many bytes. */
  readonly alignment: number;
  /** Every key with its value, in file order, and typed getters. */
  readonly metadata: GgufMetadata;
  /** The files by name; `StoredTensor.file` says which of them holds a tensor. */
  readonly sources: ReadonlyMap<string, ByteSource>;
}

/**
 * Opens a GGUF file, version 2 or 3, little-endian: reads its header in pieces of at most 1 MB and checks every number in
 * it against the real size of the file before it is used. Tensors are read later, each in its own range.
 *
 * Shapes come outermost dimension first (files list the innermost first). Reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0,
 * Q5_1, Q4_K, Q5_K and Q6_K as floats; the other types that ggml has can be listed and read as bytes.
 *
 * Source: llama.cpp `gguf-py/gguf/constants.py` and `ggml/src/gguf.cpp`.
 *
 * @param source - the file; it is closed with the returned file, and at once when opening fails
 * @param options - the limit for headers
 * @throws Phi3Error `GG_…` for what is wrong with the file (see `ggufErrorCodes`), `FILE_IS_LFS_POINTER` or
 * `FILE_IS_HTML` when something else lies in its place, `OPTION_UNKNOWN` for a misspelt option
 * @example
 * const header = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...new Array(16).fill(0)];
 * const gguf = await openGguf(createByteSource(new Uint8Array(header), 'empty.gguf'));
 * gguf.tensors.size; // => 0
 */
export async function openGguf(source: ByteSource, options: GgufOptions = {}): Promise<GgufFile> {
  try {
    const gguf = await openGgufPart('openGguf', source, options);
    const parts = gguf.metadata.findInteger('split.count') ?? 1;
    if (parts > 1) {
      throw new Phi3Error<GgufErrorCode>({
        code: 'GG_SPLIT',
        function: 'openGguf',
        expected: 'a whole file',
        got: `one of ${parts} parts`,
        where: { file: source.name, key: 'split.count' },
        hint: 'Open all parts together with openSplitGguf',
      });
    }
    return gguf;
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Opens a file that may be a part of a split one. Leaves the source open when it fails. @internal */
export async function openGgufPart(functionName: string, source: ByteSource, options: GgufOptions): Promise<GgufFile> {
  expectKnownOptions(functionName, options, ['maxHeaderSizeInBytes']);
  const { maxHeaderSizeInBytes = 128 * 2 ** 20 } = options;
  if (!Number.isSafeInteger(maxHeaderSizeInBytes) || maxHeaderSizeInBytes < 0) {
    throw new ArgumentError({
      function: functionName,
      argument: 'maxHeaderSizeInBytes',
      expected: 'a whole number from 0 up',
      got: maxHeaderSizeInBytes,
    });
  }
  const cursor = new HeaderCursor(functionName, source, maxHeaderSizeInBytes);
  const version = await readVersion(cursor);
  const numTensors = await cursor.count('tensors', leastTensorInfoInBytes);
  const numKeys = await cursor.count('metadata keys', leastKeyValueInBytes);
  if (numTensors * leastTensorInfoInBytes + numKeys * leastKeyValueInBytes > cursor.remaining) {
    throw cursor.error('GG_COUNT', {
      expected: 'as many tensors and metadata keys as the rest of the file could hold',
      got: `${numTensors} and ${numKeys}`,
    });
  }
  const entries = await readMetadata(cursor, numKeys);
  const alignment = alignmentOf(cursor, entries);
  const infos = await readTensorInfos(cursor, numTensors);
  const tensors = placeTensors(cursor, infos, alignment);
  const sources = new Map([[source.name, source]]);
  return {
    version,
    alignment,
    metadata: createGgufMetadata(source.name, entries),
    sources,
    warnings: [],
    ...ggufTensorReader(tensors, sources),
    close: () => source.close(),
  };
}

/** Length and one byte of key, type, one byte of value. */
const leastKeyValueInBytes = 8 + 1 + 4 + 1;

async function readVersion(cursor: HeaderCursor): Promise<2 | 3> {
  const { source, functionName } = cursor;
  const start = await source.read(0, Math.min(128, source.sizeInBytes));
  const magic = [0x47, 0x47, 0x55, 0x46]; // "GGUF"
  if (magic.some((byte, i) => start[i] !== byte)) {
    rejectForeignFile(start, { function: functionName, file: source.name });
    if (start.length >= 4 || magic.slice(0, start.length).some((byte, i) => start[i] !== byte)) {
      throw cursor.error('GG_MAGIC', { expected: 'the letters GGUF', got: start.subarray(0, 4) });
    }
  }
  await cursor.need(8);
  cursor.take(4);
  const { offset } = cursor;
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const isBigEndian = version === 0x02000000 || version === 0x03000000;
  throw cursor.error('GG_VERSION', {
    expected: 'version 2 or 3, little-endian',
    got: isBigEndian ? `version ${version >>> 24}, big-endian` : version,
    where: { offset },
    hint: isBigEndian ? 'Take the little-endian file of the model' : 'Convert the model again with a present llama.cpp',
  });
}

/** llama.cpp writes 32; 64 kB is a large page, and more would only be room for tricks. */
function alignmentOf(cursor: HeaderCursor, entries: ReadonlyMap<string, MetadataEntry>): number {
  const key = 'general.alignment';
  const entry = entries.get(key);
  if (entry === undefined) return 32;
  const { type, value } = entry;
  const isInteger = typeof value === 'number' && type !== 'float32' && type !== 'float64';
  if (!isInteger || value < 8 || value > 65536 || (value & (value - 1)) !== 0) {
    throw cursor.error('GG_ALIGNMENT', {
      expected: 'an integer that is a power of two from 8 to 65536',
      got: isInteger ? value : type,
      where: { key },
    });
  }
  return value;
}
