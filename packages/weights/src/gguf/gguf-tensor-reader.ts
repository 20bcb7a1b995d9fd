import {
  type FloatTensor,
  Phi3Error,
  ShapeError,
  sizeOfShape,
  type WeightFormat,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { allocateBytes } from '../allocate.ts';
import type { ByteSource } from '../byte-source.ts';
import { blockLayout, isWeightFormat, weightFormats } from '../formats/block-layout.ts';
import { createWeightMatrix, dequantizerOf } from '../formats/weight-formats.ts';
import { tensorNotFound } from '../safetensors/open-safetensors.ts';
import type { StoredTensor, WeightSource } from '../weight-source.ts';
import type { GgufErrorCode } from './error-codes.ts';

/** Stored bytes that are converted at a time: a tensor read as float32 costs its own memory and this. */
const pieceSizeInBytes = 4 * 2 ** 20;

/**
 * The reading half of a weight source over tensors that have been placed in their files.
 *
 * @internal
 */
export function ggufTensorReader(
  tensors: ReadonlyMap<string, StoredTensor>,
  sources: ReadonlyMap<string, ByteSource>,
): Pick<WeightSource, 'tensors' | 'readBytes' | 'readFloats' | 'readMatrix'> {
  function find(functionName: string, name: string): [source: ByteSource, tensor: StoredTensor] {
    const tensor = tensors.get(name);
    const source = tensor && sources.get(tensor.file);
    if (!tensor || !source) throw tensorNotFound(functionName, name, [...sources.keys()].join(', '));
    return [source, tensor];
  }
  return {
    tensors,
    readBytes: async (name, into) => readBytes(...find('readBytes', name), into),
    readFloats: async (name) => readFloats(...find('readFloats', name)),
    readMatrix: async (name) => readMatrix(...find('readMatrix', name)),
  };
}

/** The stored bytes of one tensor, straight into `into` when given. */
async function readBytes(source: ByteSource, tensor: StoredTensor, into?: Uint8Array): Promise<Uint8Array> {
  if (into !== undefined && into.byteLength !== tensor.sizeInBytes) {
    throw new ShapeError({
      function: 'readBytes',
      argument: 'into',
      expected: `${tensor.sizeInBytes} bytes`,
      got: into.byteLength,
      where: { file: tensor.file, tensor: tensor.name },
    });
  }
  return source.read(tensor.offset, tensor.sizeInBytes, into);
}

/** One tensor as float32, converted piece by piece so that its stored form is never in memory whole. */
async function readFloats(source: ByteSource, tensor: StoredTensor): Promise<FloatTensor> {
  const format = expectReadableFormat('readFloats', tensor);
  const place = { file: tensor.file, tensor: tensor.name };
  const data = new Float32Array(allocateBytes(4 * sizeOfShape(tensor.shape), place).buffer);
  const { weightsPerBlock, bytesPerBlock } = blockLayout(format);
  const wholeBlocks = Math.floor(pieceSizeInBytes / bytesPerBlock) * bytesPerBlock;
  const piece = new Uint8Array(Math.min(wholeBlocks, tensor.sizeInBytes));
  const dequantize = dequantizerOf(format);
  for (let start = 0; start < tensor.sizeInBytes; start += piece.length) {
    const length = Math.min(piece.length, tensor.sizeInBytes - start);
    const stored = await source.read(tensor.offset + start, length, piece.subarray(0, length));
    const first = (start / bytesPerBlock) * weightsPerBlock;
    dequantize(stored, 0, data.subarray(first, first + (length / bytesPerBlock) * weightsPerBlock));
  }
  return { data, shape: tensor.shape };
}

/** One matrix in its stored format. */
async function readMatrix(source: ByteSource, tensor: StoredTensor): Promise<WeightMatrix> {
  const format = expectReadableFormat('readMatrix', tensor);
  const [rows, columns] = tensor.shape;
  if (tensor.shape.length !== 2 || rows === undefined || columns === undefined) {
    throw new ShapeError({
      function: 'readMatrix',
      argument: 'name',
      expected: 'a tensor of two dimensions',
      got: tensor.shape,
      where: { file: tensor.file, tensor: tensor.name },
    });
  }
  return createWeightMatrix(format, [rows, columns], await readBytes(source, tensor));
}

function expectReadableFormat(functionName: string, tensor: StoredTensor): WeightFormat {
  if (isWeightFormat(tensor.format)) return tensor.format;
  throw new Phi3Error<GgufErrorCode>({
    code: 'GG_TYPE_UNSUPPORTED',
    function: functionName,
    expected: `a tensor of ${weightFormats().join(', ')}`,
    got: tensor.format,
    where: { file: tensor.file, tensor: tensor.name },
    hint: 'readBytes gives its stored bytes; or take a file in another quantization, such as Q4_K_M or Q8_0',
  });
}
