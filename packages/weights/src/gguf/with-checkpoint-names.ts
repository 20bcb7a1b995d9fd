import { Phi3Error } from '@phiblocks/tensor';
import type { StoredTensor, WeightSource } from '../weight-source.ts';
import type { GgufErrorCode } from './error-codes.ts';
import { ggufTensorReader } from './gguf-tensor-reader.ts';
import type { GgufFile } from './open-gguf.ts';
import { checkpointTensorName } from './tensor-names.ts';

/** Phi-3.5-MoE has 16. */
const mostExperts = 1024;

/**
 * The tensors of a GGUF file under the names of its checkpoint, so that a model can be loaded from either by the same
 * keys. The tensors that hold all experts of a layer, `[experts, out, in]`, appear as one matrix per expert. Nothing is
 * read or copied. Tensors without a counterpart (the lists of RoPE factors, which a checkpoint keeps in `config.json`)
 * are left out.
 *
 * @param gguf - an open file of architecture `phi3` or `phimoe`
 * @returns a view; closing it closes the file
 * @throws Phi3Error `GG_SHAPE` when a tensor of experts has not three dimensions, `GG_LIMIT` for more than 1,024 experts
 * @example
 * const header = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...new Array(16).fill(0)];
 * const gguf = await openGguf(createByteSource(new Uint8Array(header), 'empty.gguf'));
 * withCheckpointNames(gguf).tensors.size; // => 0
 */
export function withCheckpointNames(gguf: GgufFile): WeightSource {
  const tensors = new Map<string, StoredTensor>();
  for (const stored of gguf.tensors.values()) {
    const name = checkpointTensorName(stored.name);
    if (name !== undefined) {
      tensors.set(name, { ...stored, name });
    } else if (checkpointTensorName(stored.name, 0) !== undefined) {
      for (const expert of expertsOf(stored)) tensors.set(expert.name, expert);
    }
  }
  return { warnings: gguf.warnings, ...ggufTensorReader(tensors, gguf.sources), close: () => gguf.close() };
}

function expertsOf(stored: StoredTensor): StoredTensor[] {
  const [numExperts, ...shape] = stored.shape;
  if (numExperts === undefined || shape.length !== 2) {
    throw expertsError('GG_SHAPE', stored, 'shape [experts, out, in]', stored.shape);
  }
  if (numExperts > mostExperts) throw expertsError('GG_LIMIT', stored, `at most ${mostExperts} experts`, numExperts);
  // An expert is whole rows, so it begins with a whole block.
  const sizeInBytes = stored.sizeInBytes / numExperts;
  return Array.from({ length: numExperts }, (_, expert) => ({
    ...stored,
    name: checkpointTensorName(stored.name, expert)!,
    shape,
    offset: stored.offset + expert * sizeInBytes,
    sizeInBytes,
  }));
}

function expertsError(
  code: GgufErrorCode,
  { file, name }: StoredTensor,
  expected: string,
  got: unknown,
): Phi3Error<GgufErrorCode> {
  return new Phi3Error({ code, function: 'withCheckpointNames', expected, got, where: { file, tensor: name } });
}
