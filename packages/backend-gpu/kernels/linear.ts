import type { Kernel, Numbers } from './kernel-types.ts';

// Weights lie with their rows side by side, `weights[k][0][row]`: neighbouring threads compute neighbouring rows and read
// neighbouring memory.

/** `x · Wᵀ (+ bias)` for weights in float32. */
export function linearFloat(
  this: Kernel,
  x: Numbers,
  weights: Numbers,
  bias: Numbers,
  columns: number,
  hasBias: number,
) {
  let sum = 0;
  for (let column = 0; column < columns; column++) {
    sum = sum + x[this.thread.z][0][column] * weights[column][0][this.thread.x];
  }
  if (hasBias > 0) {
    sum = sum + bias[0][0][this.thread.x];
  }
  return sum;
}

/** How integers lie in the words of a packed matrix; see `src/packed-layout.ts`. */
export interface PackedConstants {
  /** Weights that share a scale. */
  readonly groupSize: number;
  readonly wordsPerGroup: number;
  readonly valuesPerWord: number;
  /** 2 to the bits of a value, and its inverse. */
  readonly radix: number;
  readonly inverseRadix: number;
  /** Subtracted from every stored integer. */
  readonly zero: number;
  /** 1 when every group has an offset beside its scale. */
  readonly hasOffset: number;
}

/** `x · Wᵀ (+ bias)` for packed integers: a weight is `(integer - zero) · scale (+ offset)`, exactly as its format says. */
export function linearPacked(
  this: Kernel<PackedConstants>,
  x: Numbers,
  packed: Numbers,
  scales: Numbers,
  offsets: Numbers,
  bias: Numbers,
  groups: number,
  hasBias: number,
) {
  let sum = 0;
  for (let group = 0; group < groups; group++) {
    const scale = scales[group][0][this.thread.x];
    let offset = 0;
    if (this.constants.hasOffset > 0) {
      offset = offsets[group][0][this.thread.x];
    }
    const end = (group + 1) * this.constants.groupSize;
    let column = group * this.constants.groupSize;
    for (let index = 0; index < this.constants.wordsPerGroup; index++) {
      let word = packed[group * this.constants.wordsPerGroup + index][0][this.thread.x];
      for (let i = 0; i < this.constants.valuesPerWord; i++) {
        // A power of two: neither the product nor the difference rounds.
        const rest = Math.floor(word * this.constants.inverseRadix);
        const value = word - rest * this.constants.radix;
        word = rest;
        if (column < end) {
          sum = sum + ((value - this.constants.zero) * scale + offset) * x[this.thread.z][0][column];
        }
        column = column + 1;
      }
    }
  }
  if (hasBias > 0) {
    sum = sum + bias[0][0][this.thread.x];
  }
  return sum;
}

/** Rows of a float table by `ids`; ids outside `[firstId, firstId + count)` give 0. */
export function embedFloat(this: Kernel, weights: Numbers, ids: Numbers, firstId: number, count: number) {
  const id = ids[0][0][this.thread.z] - firstId;
  let value = 0;
  if (id >= 0 && id < count) {
    value = weights[this.thread.x][0][id];
  }
  return value;
}

/** Rows of a packed table by `ids`; ids outside `[firstId, firstId + count)` give 0. */
export function embedPacked(
  this: Kernel<PackedConstants>,
  packed: Numbers,
  scales: Numbers,
  offsets: Numbers,
  ids: Numbers,
  firstId: number,
  count: number,
) {
  const id = ids[0][0][this.thread.z] - firstId;
  let value = 0;
  if (id >= 0 && id < count) {
    const group = Math.floor((this.thread.x + 0.5) / this.constants.groupSize);
    const place = this.thread.x - group * this.constants.groupSize;
    const index = Math.floor((place + 0.5) / this.constants.valuesPerWord);
    const wanted = place - index * this.constants.valuesPerWord;
    let word = packed[group * this.constants.wordsPerGroup + index][0][id];
    for (let i = 0; i < this.constants.valuesPerWord; i++) {
      const rest = Math.floor(word * this.constants.inverseRadix);
      if (i === wanted) {
        value = word - rest * this.constants.radix;
      }
      word = rest;
    }
    value = (value - this.constants.zero) * scales[group][0][id];
    if (this.constants.hasOffset > 0) {
      value = value + offsets[group][0][id];
    }
  }
  return value;
}
