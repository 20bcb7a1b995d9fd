import { ShapeError } from './errors.ts';

/**
 * A dense float32 array with a shape, row-major. A plain object on purpose: callers bring their own arrays, and any code
 * that makes `{ data, shape }` can call any block.
 */
export interface FloatTensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/**
 * The number of elements of a shape: the product of its dimensions, 1 for a scalar.
 *
 * @param shape - whole numbers, none negative
 * @throws ShapeError `SHAPE` when a dimension is not a whole number from 0 up, or the product leaves the safe integers
 * @example
 * sizeOfShape([2, 3, 4]); // => 24
 * sizeOfShape([]); // => 1
 */
export function sizeOfShape(shape: readonly number[]): number {
  let size = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new ShapeError({
        function: 'sizeOfShape',
        argument: 'shape',
        expected: 'whole numbers from 0 up',
        got: shape,
      });
    }
    size *= dimension;
  }
  if (!Number.isSafeInteger(size)) {
    throw new ShapeError({
      function: 'sizeOfShape',
      argument: 'shape',
      expected: 'a product below 2^53',
      got: shape,
    });
  }
  return size;
}

/**
 * Wraps an array with its shape after checking that the two agree. The array is not copied.
 *
 * @param data - float32 elements, row-major
 * @param shape - its dimensions
 * @throws ShapeError `SHAPE` when the product of the shape is not the length of the data
 * @example
 * createFloatTensor(new Float32Array(6), [2, 3]).shape; // => [2, 3]
 */
export function createFloatTensor(data: Float32Array, shape: readonly number[]): FloatTensor {
  if (sizeOfShape(shape) !== data.length) {
    throw new ShapeError({
      function: 'createFloatTensor',
      argument: 'shape',
      expected: `a product of ${data.length}, the length of data`,
      got: shape,
    });
  }
  return { data, shape };
}

/**
 * Checks that a tensor has the wanted shape; `null` stands for any size.
 *
 * @param tensor - the tensor to check
 * @param shape - the wanted dimensions
 * @param where - the public function and its argument, for the message
 * @throws ShapeError `SHAPE` when rank, a dimension or the length of the data differs
 * @example
 * expectShape({ data: new Float32Array(6), shape: [2, 3] }, [null, 3], { function: 'rmsNorm', argument: 'hidden' });
 */
export function expectShape(
  tensor: FloatTensor,
  shape: readonly (number | null)[],
  where: { function: string; argument: string },
): void {
  const fits =
    tensor.shape.length === shape.length &&
    shape.every((wanted, axis) => wanted === null || wanted === tensor.shape[axis]);
  if (!fits) {
    throw new ShapeError({
      ...where,
      expected: `shape [${shape.map((wanted) => wanted ?? 'any').join(', ')}]`,
      got: tensor.shape,
    });
  }
  if (sizeOfShape(tensor.shape) !== tensor.data.length) {
    throw new ShapeError({
      ...where,
      expected: `${sizeOfShape(tensor.shape)} elements for shape [${tensor.shape.join(', ')}]`,
      got: tensor.data.length,
    });
  }
}
