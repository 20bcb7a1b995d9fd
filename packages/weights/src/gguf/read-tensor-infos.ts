import type { ErrorLocation } from '@phiblocks/tensor';
import type { StoredTensor } from '../weight-source.ts';
import { type GgmlType, ggmlTypeOfId } from './ggml-type.ts';
import type { HeaderCursor } from './header-cursor.ts';

/** ggml keeps names in 64 bytes. */
const longestNameInBytes = 64;

const mostDimensions = 4;

/** Phi-3.5-MoE has 516 tensors; the limit keeps a header of nothing but tensors from filling memory with objects. */
const mostTensors = 65536;

/** The fewest bytes of one entry: length and one byte of name, number of dimensions, one dimension, type, offset. @internal */
export const leastTensorInfoInBytes = 8 + 1 + 4 + 8 + 4 + 8;

/** What a tensor entry says. Its offset still counts from the start of the data. @internal */
export interface TensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: readonly number[];
  readonly dataOffset: bigint;
  readonly sizeInBytes: bigint;
}

/** Reads `count` tensor entries. @internal */
export async function readTensorInfos(cursor: HeaderCursor, count: number): Promise<Map<string, TensorInfo>> {
  if (count > mostTensors) {
    throw cursor.error('GG_LIMIT', { expected: `at most ${mostTensors} tensors`, got: count });
  }
  const infos = new Map<string, TensorInfo>();
  for (let i = 0; i < count; i++) {
    const info = await readTensorInfo(cursor, i);
    if (infos.has(info.name)) {
      throw cursor.error('GG_DUPLICATE_TENSOR', {
        expected: 'every tensor once',
        got: info.name,
        where: { tensor: info.name },
      });
    }
    infos.set(info.name, info);
  }
  return infos;
}

async function readTensorInfo(cursor: HeaderCursor, index: number): Promise<TensorInfo> {
  const { offset } = cursor;
  const name = await cursor.string({ tensor: `number ${index}` });
  const where: ErrorLocation = { offset, tensor: name };
  const nameInBytes = cursor.offset - offset - 8;
  if (nameInBytes === 0 || nameInBytes > longestNameInBytes) {
    throw cursor.error('GG_NAME', { expected: `a tensor name of 1 to ${longestNameInBytes} bytes`, got: name, where });
  }
  await cursor.need(4, { tensor: name });
  const rank = cursor.u32();
  if (rank < 1 || rank > mostDimensions) {
    throw cursor.error('GG_SHAPE', { expected: `1 to ${mostDimensions} dimensions`, got: rank, where });
  }
  await cursor.need(8 * rank + 4 + 8, { tensor: name });
  const dimensions: bigint[] = [];
  for (let axis = 0; axis < rank; axis++) dimensions.push(cursor.u64());
  const typeId = cursor.u32();
  const dataOffset = cursor.u64();

  const numWeights = dimensions.reduce((product, dimension) => product * dimension, 1n);
  if (numWeights < 1n || numWeights > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw cursor.error('GG_SHAPE', {
      expected: 'dimensions from 1 up with a product below 2^53',
      got: dimensions,
      where,
    });
  }
  const type = ggmlTypeOfId(typeId);
  if (type === undefined) {
    throw cursor.error('GG_TYPE_UNKNOWN', { expected: 'the id of a tensor type of ggml', got: typeId, where });
  }
  const weightsPerBlock = BigInt(type.weightsPerBlock);
  if (dimensions[0]! % weightsPerBlock !== 0n) {
    throw cursor.error('GG_BLOCK', {
      expected: `rows of a multiple of ${weightsPerBlock} weights for ${type.name}`,
      got: dimensions[0],
      where,
    });
  }
  return {
    name,
    type,
    // The file lists the innermost dimension first.
    shape: Object.freeze(dimensions.map(Number).reverse()),
    dataOffset,
    sizeInBytes: (numWeights / weightsPerBlock) * BigInt(type.bytesPerBlock),
  };
}

/**
 * Places the tensors in the file: offsets become absolute, and every tensor must lie inside the file, on the alignment, on
 * bytes of its own.
 *
 * @internal
 */
export function placeTensors(
  cursor: HeaderCursor,
  infos: ReadonlyMap<string, TensorInfo>,
  alignment: number,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  // A file without tensors (a vocabulary) may end right behind its header, without the padding.
  if (infos.size === 0) return tensors;
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const dataSize = BigInt(Math.max(0, cursor.source.sizeInBytes - dataStart));
  for (const { name, type, shape, dataOffset, sizeInBytes } of infos.values()) {
    const where: ErrorLocation = { tensor: name };
    if (dataOffset % BigInt(alignment) !== 0n) {
      throw cursor.error('GG_OFFSET', { expected: `an offset on a multiple of ${alignment}`, got: dataOffset, where });
    }
    if (dataOffset > dataSize) {
      throw cursor.error('GG_OFFSET', {
        expected: `an offset inside the ${dataSize} bytes of data`,
        got: dataOffset,
        where,
        hint: 'The file is damaged or cut off; download it again',
      });
    }
    if (dataOffset + sizeInBytes > dataSize) {
      throw cursor.error('GG_DATA_TRUNCATED', {
        expected: `${sizeInBytes} bytes for ${type.name} [${shape.join(', ')}]`,
        got: `${dataOffset + sizeInBytes - dataSize} bytes fewer`,
        where,
        hint: 'The file is cut off; download it again',
      });
    }
    tensors.set(
      name,
      Object.freeze({
        name,
        format: type.name,
        shape,
        file: cursor.source.name,
        offset: dataStart + Number(dataOffset),
        sizeInBytes: Number(sizeInBytes),
      }),
    );
  }
  expectNoOverlap(cursor, tensors);
  return tensors;
}

function expectNoOverlap(cursor: HeaderCursor, tensors: ReadonlyMap<string, StoredTensor>): void {
  const byOffset = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < byOffset.length; i++) {
    const [before, after] = [byOffset[i - 1]!, byOffset[i]!];
    if (before.offset + before.sizeInBytes > after.offset) {
      throw cursor.error('GG_OVERLAP', {
        expected: `a start behind ${before.name}, which ends at ${before.offset + before.sizeInBytes}`,
        got: after.offset,
        where: { tensor: after.name, offset: after.offset },
      });
    }
  }
}
