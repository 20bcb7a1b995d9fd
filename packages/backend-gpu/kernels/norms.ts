import type { Kernel, Numbers } from './kernel-types.ts';

// A norm needs a sum over each row. One thread per row would leave a GPU idle, so `slices` threads take a part each.

/** Sums of the slices of each row. */
export function sumSlices(this: Kernel, x: Numbers, columns: number, columnsPerSlice: number) {
  const start = this.thread.x * columnsPerSlice;
  const count = Math.min(columnsPerSlice, columns - start);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum = sum + x[this.thread.z][0][start + i];
  }
  return sum;
}

/** Sums of squares of the slices of each row, around the mean that `sums` gives, or around 0. */
export function squareSlices(
  this: Kernel,
  x: Numbers,
  sums: Numbers,
  columns: number,
  columnsPerSlice: number,
  slices: number,
  isCentered: number,
) {
  let mean = 0;
  if (isCentered > 0) {
    for (let i = 0; i < slices; i++) {
      mean = mean + sums[this.thread.z][0][i];
    }
    mean = mean / columns;
  }
  const start = this.thread.x * columnsPerSlice;
  const count = Math.min(columnsPerSlice, columns - start);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const distance = x[this.thread.z][0][start + i] - mean;
    sum = sum + distance * distance;
  }
  return sum;
}

/** `x / sqrt(mean(x²) + epsilon) · weight` */
export function rmsNorm(
  this: Kernel,
  x: Numbers,
  squares: Numbers,
  weight: Numbers,
  columns: number,
  slices: number,
  epsilon: number,
) {
  let sum = 0;
  for (let i = 0; i < slices; i++) {
    sum = sum + squares[this.thread.z][0][i];
  }
  const inverse = 1 / Math.sqrt(sum / columns + epsilon);
  return x[this.thread.z][0][this.thread.x] * inverse * weight[0][0][this.thread.x];
}

/** `(x - mean) / sqrt(variance + epsilon) · weight + bias` */
export function layerNorm(
  this: Kernel,
  x: Numbers,
  sums: Numbers,
  squares: Numbers,
  weight: Numbers,
  bias: Numbers,
  columns: number,
  slices: number,
  epsilon: number,
) {
  let mean = 0;
  let variance = 0;
  for (let i = 0; i < slices; i++) {
    mean = mean + sums[this.thread.z][0][i];
    variance = variance + squares[this.thread.z][0][i];
  }
  mean = mean / columns;
  const inverse = 1 / Math.sqrt(variance / columns + epsilon);
  const distance = x[this.thread.z][0][this.thread.x] - mean;
  return distance * inverse * weight[0][0][this.thread.x] + bias[0][0][this.thread.x];
}
