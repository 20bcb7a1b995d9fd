import { Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import type { StoredTensor } from '../weight-source.ts';
import type { GgufErrorCode } from './error-codes.ts';
import { ggufTensorReader } from './gguf-tensor-reader.ts';
import type { GgufValue } from './gguf-value.ts';
import { type GgufFile, type GgufOptions, openGgufPart } from './open-gguf.ts';

/** llama.cpp numbers parts with five digits; the limit keeps a list of sources from being opened for a lying count. */
const mostParts = 99999;

/**
 * Opens a model that was split into several GGUF files (`…-00001-of-00003.gguf`, …). The first part carries the metadata.
 *
 * The parts must be complete, in order and of one model: each says how many there are and which it is (`split.count`,
 * `split.no`), the first how many tensors there are in all (`split.tensors.count`), and what two parts both say must agree.
 *
 * Source: llama.cpp `tools/gguf-split`.
 *
 * @param sources - all parts, in order; they are closed with the returned file, and at once when opening fails
 * @param options - as for {@link openGguf}, for each part
 * @returns one file with the tensors of all parts
 * @throws Phi3Error `GG_SPLIT` when the parts do not fit together, `GG_DUPLICATE_TENSOR` when two hold the same tensor,
 * other `GG_…` for a part, as {@link openGguf}
 * @example
 * const header = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...new Array(16).fill(0)];
 * const whole = createByteSource(new Uint8Array(header), 'model.gguf');
 * const error = await openSplitGguf([whole]).catch((error) => error);
 * error.code; // => 'GG_SPLIT'
 */
export async function openSplitGguf(sources: readonly ByteSource[], options: GgufOptions = {}): Promise<GgufFile> {
  try {
    if (sources.length === 0 || sources.length > mostParts) {
      throw splitError('sources', undefined, `1 to ${mostParts} parts`, sources.length);
    }
    const parts: GgufFile[] = [];
    for (const [number, source] of sources.entries()) {
      const part = await openGgufPart('openSplitGguf', source, options);
      expectPart(part, source.name, number, sources.length);
      parts.push(part);
    }
    const first = parts[0]!;
    for (const [number, part] of parts.entries()) expectSameModel(first, part, sources[number]!.name);
    const tensors = mergeTensors(parts);
    const declared = first.metadata.getInteger('split.tensors.count');
    if (tensors.size !== declared) {
      throw splitError(sources[0]!.name, 'split.tensors.count', `${declared} tensors in all`, tensors.size);
    }
    const byName = new Map(sources.map((source) => [source.name, source]));
    if (byName.size !== sources.length) {
      throw splitError(sources[0]!.name, undefined, 'parts with names of their own', [...byName.keys()]);
    }
    return {
      version: first.version,
      alignment: first.alignment,
      metadata: first.metadata,
      sources: byName,
      warnings: parts.flatMap((part) => part.warnings),
      ...ggufTensorReader(tensors, byName),
      close: () => closeAll(sources),
    };
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

function expectPart(part: GgufFile, file: string, number: number, count: number): void {
  const declaredCount = part.metadata.findInteger('split.count');
  if (declaredCount !== count) {
    throw splitError(file, 'split.count', `one of ${count} parts, as many as were given`, declaredCount);
  }
  const declaredNumber = part.metadata.findInteger('split.no');
  if (declaredNumber !== number) {
    throw splitError(file, 'split.no', `part ${number}, counted from 0, in this place`, declaredNumber);
  }
}

/** What two parts both say must agree. llama.cpp repeats little, so this is the most that a reader can notice. */
function expectSameModel(first: GgufFile, part: GgufFile, file: string): void {
  if (part.version !== first.version || part.alignment !== first.alignment) {
    throw splitError(file, undefined, `version ${first.version} and alignment ${first.alignment}, as the first part`, [
      part.version,
      part.alignment,
    ]);
  }
  for (const [key, value] of part.metadata) {
    if (key === 'split.no') continue;
    const other = first.metadata.get(key);
    if (other !== undefined && !isSameValue(value, other)) {
      throw splitError(file, key, 'the value that the first part has', value);
    }
  }
}

function isSameValue(a: GgufValue, b: GgufValue): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return Object.is(a, b);
  if (a.length !== b.length || a.constructor !== b.constructor) return false;
  for (let i = 0; i < a.length; i++) if (!isSameValue(a[i]!, b[i]!)) return false;
  return true;
}

function mergeTensors(parts: readonly GgufFile[]): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const part of parts) {
    for (const [name, tensor] of part.tensors) {
      const other = tensors.get(name);
      if (other !== undefined) {
        throw new Phi3Error<GgufErrorCode>({
          code: 'GG_DUPLICATE_TENSOR',
          function: 'openSplitGguf',
          expected: 'every tensor in one part',
          got: `${other.file} and ${tensor.file}`,
          where: { file: tensor.file, tensor: name },
        });
      }
      tensors.set(name, tensor);
    }
  }
  return tensors;
}

async function closeAll(sources: readonly ByteSource[]): Promise<void> {
  const results = await Promise.allSettled(sources.map((source) => source.close()));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function splitError(file: string, key: string | undefined, expected: string, got: unknown): Phi3Error<GgufErrorCode> {
  return new Phi3Error({
    code: 'GG_SPLIT',
    function: 'openSplitGguf',
    expected,
    got,
    where: key === undefined ? { file } : { file, key },
    hint: 'Give all parts of one model, sorted by name',
  });
}
