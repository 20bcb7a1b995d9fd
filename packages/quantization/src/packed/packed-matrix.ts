import { type FloatTensor, Phi3Error, ShapeError } from '@phiblocks/tensor';
import { expectLength, expectRow } from '../expect-row.ts';
import type { DequantizableMatrix } from '../row-product.ts';

/** An int32 tensor of a checkpoint; its words are read as 32 bits, the sign has no meaning. */
export interface PackedTensor {
  readonly data: Int32Array | Uint32Array;
  readonly shape: readonly number[];
}

/** A linear layer read from an AWQ or GPTQ checkpoint. `w = scale · (q − zero)`, scale and zero shared by a group of inputs. */
export interface PackedMatrix extends DequantizableMatrix {
  readonly bits: 2 | 4 | 8;
  /** How many neighbouring inputs share a scale, where they are neighbours. */
  readonly groupSize: number;
}

/** What both layouts store per group and output. @internal */
export interface PackedParts {
  readonly bits: 2 | 4 | 8;
  readonly groupSize: number;
  readonly rows: number;
  readonly columns: number;
  /** `[groups, out]` */
  readonly scales: Float32Array;
  /** The group of each input; absent: inputs in order, `groupSize` to a group. */
  readonly groupOf: Int32Array | undefined;
  codeOf(input: number, output: number): number;
  zeroOf(group: number, output: number): number;
}

/** @internal */
export function createPackedMatrix(parts: PackedParts): PackedMatrix {
  const { bits, groupSize, rows, columns, scales, groupOf } = parts;
  return {
    bits,
    groupSize,
    shape: [rows, columns],
    dequantizeRow(row, out) {
      expectRow('dequantizeRow', row, rows);
      expectLength('dequantizeRow', 'out', out.length, columns);
      for (let i = 0; i < columns; i++) {
        const group = groupOf === undefined ? Math.floor(i / groupSize) : groupOf[i]!;
        out[i] = (parts.codeOf(i, row) - parts.zeroOf(group, row)) * scales[group * rows + row]!;
      }
    },
  };
}

/** Checks rank and length of a tensor against its shape. @internal */
export function expectMatrix(
  functionName: string,
  argument: string,
  tensor: PackedTensor | FloatTensor,
): [number, number] {
  const [first, second] = tensor.shape;
  const isMatrix =
    tensor.shape.length === 2 &&
    tensor.shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0) &&
    first! * second! === tensor.data.length;
  if (!isMatrix) {
    throw new ShapeError({
      function: functionName,
      argument,
      expected: `two dimensions whose product is ${tensor.data.length}, the length of data`,
      got: tensor.shape,
    });
  }
  return [first!, second!];
}

/** @internal */
export function expectDimensions(
  functionName: string,
  argument: string,
  tensor: PackedTensor | FloatTensor,
  expected: readonly [number, number],
): void {
  const [first, second] = expectMatrix(functionName, argument, tensor);
  if (first !== expected[0] || second !== expected[1]) {
    throw new ShapeError({
      function: functionName,
      argument,
      expected: `shape [${expected.join(', ')}]`,
      got: tensor.shape,
    });
  }
}

/** @internal */
export function expectFiniteScales(functionName: string, scales: FloatTensor): void {
  const bad = scales.data.findIndex((scale) => !Number.isFinite(scale));
  if (bad >= 0) {
    throw new Phi3Error({
      code: 'PACKED_LAYOUT',
      function: functionName,
      argument: 'scales',
      expected: 'finite numbers',
      got: scales.data[bad],
      where: { key: `[${Math.floor(bad / scales.shape[1]!)}, ${bad % scales.shape[1]!}]` },
    });
  }
}
