import { ShapeError, type TensorHandle } from '@phiblocks/tensor';

/** Checks a handle's shape; `null` stands for any size. */
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

/** Rows and columns of a handle. */
export function matrixShape(functionName: string, argument: string, handle: TensorHandle): [number, number] {
  expectHandleShape(functionName, argument, handle, [null, null]);
  return [handle.shape[0]!, handle.shape[1]!];
}

/** How many heads of `headDim` a width holds. */
export function headsOf(functionName: string, argument: string, handle: TensorHandle, headDim: number): number {
  const [, width] = matrixShape(functionName, argument, handle);
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

export function expectRange(functionName: string, start: number, count: number, limit: number): void {
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
