import type { Kernel, Numbers } from './kernel-types.ts';

export function add(this: Kernel, a: Numbers, b: Numbers) {
  return a[this.thread.z][0][this.thread.x] + b[this.thread.z][0][this.thread.x];
}

export function multiply(this: Kernel, x: Numbers, factor: number) {
  return x[this.thread.z][0][this.thread.x] * factor;
}

/** Rows and columns of `x` from `firstRow` and `firstColumn` on. */
export function slice(this: Kernel, x: Numbers, firstRow: number, firstColumn: number) {
  return x[this.thread.z + firstRow][0][this.thread.x + firstColumn];
}

/** Columns of `a`, then columns of `b`. */
export function joinColumns(this: Kernel, a: Numbers, b: Numbers, columnsOfA: number) {
  let value = 0;
  if (this.thread.x < columnsOfA) {
    value = a[this.thread.z][0][this.thread.x];
  } else {
    value = b[this.thread.z][0][this.thread.x - columnsOfA];
  }
  return value;
}

/** Rows of `a`, then rows of `b`. */
export function joinRows(this: Kernel, a: Numbers, b: Numbers, rowsOfA: number) {
  let value = 0;
  if (this.thread.z < rowsOfA) {
    value = a[this.thread.z][0][this.thread.x];
  } else {
    value = b[this.thread.z - rowsOfA][0][this.thread.x];
  }
  return value;
}

/** `silu(gate) · up`, the gate in the first `size` columns. The exponent is held where float32 is finite. */
export function swiglu(this: Kernel, x: Numbers, size: number) {
  const gate = x[this.thread.z][0][this.thread.x];
  const up = x[this.thread.z][0][this.thread.x + size];
  return (gate / (1 + Math.exp(Math.min(0 - gate, 80)))) * up;
}

/** `silu(gate) · up` of two arrays. */
export function gate(this: Kernel, gates: Numbers, ups: Numbers) {
  const value = gates[this.thread.z][0][this.thread.x];
  return (value / (1 + Math.exp(Math.min(0 - value, 80)))) * ups[this.thread.z][0][this.thread.x];
}

/** Phi-3-small's: the gate is clamped from above, the linear part on both sides. */
export function gegelu(this: Kernel, x: Numbers, size: number, limit: number) {
  const clampedGate = Math.min(x[this.thread.z][0][this.thread.x], limit);
  const clampedUp = Math.max(0 - limit, Math.min(x[this.thread.z][0][this.thread.x + size], limit));
  return (clampedGate / (1 + Math.exp(Math.min(clampedGate * -1.702, 80)))) * (clampedUp + 1);
}

export function quickGelu(this: Kernel, x: Numbers) {
  const value = x[this.thread.z][0][this.thread.x];
  return value / (1 + Math.exp(Math.min(value * -1.702, 80)));
}

/**
 * `z · Φ(z)`. Near zero the error function is a series of positive terms, which loses nothing in float32; further out its
 * complement is a continued fraction, which keeps the small tail of negative z.
 * Source: NIST Digital Library of Mathematical Functions, 7.6.2 and 7.9.1.
 */
export function gelu(this: Kernel, x: Numbers) {
  const z = x[this.thread.z][0][this.thread.x];
  const size = Math.min(Math.abs(z) * Math.SQRT1_2, 9);
  const bell = Math.exp(0 - size * size);
  let tail = 0; // 1 - erf(size)
  if (size < 1) {
    let term = size;
    let sum = size;
    for (let n = 1; n < 24; n++) {
      term = (term * 2 * size * size) / (2 * n + 1);
      sum = sum + term;
    }
    tail = 1 - 1.1283791670955126 * bell * sum;
  } else {
    let fraction = 0;
    for (let m = 0; m < 64; m++) {
      fraction = (0.5 * (64 - m)) / (size + fraction);
    }
    tail = (bell * 0.5641895835477563) / (size + fraction);
  }
  let phi = 0.5 * tail;
  if (z > 0) {
    phi = 1 - phi;
  }
  return z * phi;
}
