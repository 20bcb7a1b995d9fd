import { ArgumentError, ShapeError } from '@phiblocks/tensor';

/** @internal */
export function expectRow(functionName: string, row: number, rows: number): void {
  if (!Number.isInteger(row) || row < 0 || row >= rows) {
    throw new ArgumentError({
      function: functionName,
      argument: 'row',
      expected: rows === 0 ? 'a matrix that has rows' : `a whole number from 0 to ${rows - 1}`,
      got: row,
    });
  }
}

/** @internal */
export function expectLength(functionName: string, argument: string, length: number, expected: number): void {
  if (length !== expected) {
    throw new ShapeError({ function: functionName, argument, expected: `${expected} elements`, got: length });
  }
}
