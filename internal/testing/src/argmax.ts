/** Index of the largest number; the lowest of equals. A NaN anywhere is an error: no test may choose by it. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) throw new Error(`value ${i} is NaN`);
    if (values[i]! > values[best]!) best = i;
  }
  return best;
}
