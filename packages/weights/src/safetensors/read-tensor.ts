import {
  type FloatDtype,
  type FloatTensor,
  Phi3Error,
  ShapeError,
  sizeOfShape,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { allocateBytes } from '../allocate.ts';
import type { ByteSource } from '../byte-source.ts';
import { createWeightMatrix, dequantizerOf } from '../formats/weight-formats.ts';
import type { StoredTensor } from '../weight-source.ts';

/** Stored bytes that are converted at a time: a tensor read as float32 costs its own memory and this. */
const pieceSizeInBytes = 4 * 2 ** 20;

/** The stored bytes of one tensor, straight into `into` when given. */
export async function readTensorBytes(
  source: ByteSource,
  tensor: StoredTensor,
  into?: Uint8Array,
): Promise<Uint8Array> {
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
export async function readTensorFloats(
  source: ByteSource,
  tensor: StoredTensor,
  scanFinite: boolean,
): Promise<FloatTensor> {
  const dtype = expectFloatDtype('readFloats', tensor);
  const place = { file: tensor.file, tensor: tensor.name };
  const bytes = allocateBytes(4 * sizeOfShape(tensor.shape), place);
  const data = new Float32Array(bytes.buffer);
  if (dtype === 'F32' && hostIsLittleEndian()) {
    await source.read(tensor.offset, tensor.sizeInBytes, bytes);
  } else {
    const elementSizeInBytes = dtype === 'F32' ? 4 : 2;
    const widen = dequantizerOf(dtype);
    const piece = new Uint8Array(Math.min(pieceSizeInBytes, tensor.sizeInBytes));
    for (let start = 0; start < tensor.sizeInBytes; start += pieceSizeInBytes) {
      const length = Math.min(pieceSizeInBytes, tensor.sizeInBytes - start);
      const stored = await source.read(tensor.offset + start, length, piece.subarray(0, length));
      const first = start / elementSizeInBytes;
      widen(stored, 0, data.subarray(first, first + length / elementSizeInBytes));
    }
  }
  if (scanFinite) expectFinite('readFloats', tensor, data, 0);
  return { data, shape: tensor.shape };
}

/** One matrix in its stored format. */
export async function readTensorMatrix(
  source: ByteSource,
  tensor: StoredTensor,
  scanFinite: boolean,
): Promise<WeightMatrix> {
  const dtype = expectFloatDtype('readMatrix', tensor);
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
  const matrix = createWeightMatrix(dtype, [rows, columns], await readTensorBytes(source, tensor));
  if (scanFinite) {
    const row = new Float32Array(columns);
    for (let i = 0; i < rows; i++) {
      matrix.dequantizeRow(i, row);
      expectFinite('readMatrix', tensor, row, i * columns);
    }
  }
  return matrix;
}

function expectFloatDtype(functionName: string, tensor: StoredTensor): FloatDtype {
  const { format } = tensor;
  if (format === 'F32' || format === 'F16' || format === 'BF16') return format;
  throw new Phi3Error({
    code: 'ST_DTYPE_UNSUPPORTED',
    function: functionName,
    expected: 'a tensor of F32, F16 or BF16',
    got: format,
    where: { file: tensor.file, tensor: tensor.name },
    hint: 'readBytes gives its stored bytes',
  });
}

function expectFinite(functionName: string, tensor: StoredTensor, values: Float32Array, firstIndex: number): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    throw new Phi3Error({
      code: 'ST_NOT_FINITE',
      function: functionName,
      expected: 'finite numbers only',
      got: `${values[i]} at index ${firstIndex + i}`,
      where: { file: tensor.file, tensor: tensor.name, key: `[${firstIndex + i}]` },
    });
  }
}

function hostIsLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}
