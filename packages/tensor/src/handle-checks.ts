import type { TensorHandle } from './backend.ts';
import { ShapeError } from './errors.ts';

// What every backend checks before it computes, so that all of them refuse the same arguments with the same words.

/**
 * Checks the shape of a backend's tensor.
 *
 * @param functionName - the operation, for the message
 * @param argument - which argument of it the handle is
 * @param handle - the tensor
 * @param shape - sizes; `null` stands for any size
 * @throws ShapeError `SHAPE` when the number of axes or a size differs
 * @example
 * expectHandleShape('linear', 'x', { shape: [3, 8] }, [null, 8]); // => undefined
 */
export function expectHandleShape(
  functionName: string,
  argument: string,
  handle: TensorHandle,
  shape: readonly (number | null)[],
): void {
  const fits =
    handle.shape.length === shape.length &&
    shape.every((wanted, axis) => wanted === null || wanted === handle.shape[axis]);
  if (fits) return;
  throw new ShapeError({
    function: functionName,
    argument,
    expected: `shape [${shape.map((wanted) => wanted ?? 'any').join(', ')}]`,
    got: handle.shape,
  });
}

/**
 * Rows and columns of a backend's tensor.
 *
 * @throws ShapeError `SHAPE` when it does not have two axes
 * @example
 * handleMatrixShape('add', 'a', { shape: [3, 8] }); // => [3, 8]
 */
export function handleMatrixShape(functionName: string, argument: string, handle: TensorHandle): [number, number] {
  expectHandleShape(functionName, argument, handle, [null, null]);
  return [handle.shape[0]!, handle.shape[1]!];
}

/**
 * How many heads of `headDim` the rows of a backend's tensor `[T, H · D]` hold.
 *
 * @throws ShapeError `SHAPE` when it does not have two axes, or its width is no multiple of `headDim`
 * @example
 * handleHeadCount('rotate', 'x', { shape: [2, 12] }, 4); // => 3
 */
export function handleHeadCount(functionName: string, argument: string, handle: TensorHandle, headDim: number): number {
  const [, width] = handleMatrixShape(functionName, argument, handle);
  if (!(Number.isInteger(headDim) && headDim > 0) || width % headDim !== 0) {
    throw new ShapeError({
      function: functionName,
      argument,
      expected: `a width that is a multiple of headDim ${headDim}`,
      got: handle.shape,
    });
  }
  return width / headDim;
}

/**
 * Checks that `count` rows or columns from `start` on lie within `limit`.
 *
 * @throws ShapeError `SHAPE` when they do not, or are no whole numbers
 * @example
 * expectHandleRange('copyRows', 2, 3, 5); // => undefined
 */
export function expectHandleRange(functionName: string, start: number, count: number, limit: number): void {
  const whole = Number.isInteger(start) && Number.isInteger(count);
  if (!whole || start < 0 || count < 0 || start + count > limit) {
    throw new ShapeError({
      function: functionName,
      argument: 'start, count',
      expected: `a range inside 0 to ${limit}`,
      got: [start, count],
    });
  }
}
