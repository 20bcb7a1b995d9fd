import type { Kernel, Numbers } from './kernel-types.ts';

// Keys and values of a layer lie in rows of one array, a row per position: the keys of all heads, then the values of all heads.
// The last positions lie in a second, short array (`recent`), so that appending a token copies little.

/** Rotate-half pairing: component i of a head turns with component i + half. */
export function rotate(this: Kernel, heads: Numbers, cos: Numbers, sin: Numbers, headDim: number, half: number) {
  const head = Math.floor((this.thread.x + 0.5) / headDim);
  const place = this.thread.x - head * headDim;
  let value = heads[this.thread.z][0][this.thread.x];
  if (place < half) {
    const other = heads[this.thread.z][0][this.thread.x + half];
    value = value * cos[this.thread.z][0][place] - other * sin[this.thread.z][0][place];
  } else {
    if (place < half + half) {
      const other = heads[this.thread.z][0][this.thread.x - half];
      value = value * cos[this.thread.z][0][place - half] + other * sin[this.thread.z][0][place - half];
    }
  }
  return value;
}

/** `count` rows of `old`, then new rows made of keys and values. */
export function appendRows(this: Kernel, old: Numbers, keys: Numbers, values: Numbers, count: number, width: number) {
  let value = 0;
  if (this.thread.z < count) {
    value = old[this.thread.z][0][this.thread.x];
  } else {
    if (this.thread.x < width) {
      value = keys[this.thread.z - count][0][this.thread.x];
    } else {
      value = values[this.thread.z - count][0][this.thread.x - width];
    }
  }
  return value;
}

/** All positions in one array, the keys rotated by `cos` and `sin` of their positions. */
export function rotateStored(
  this: Kernel,
  stored: Numbers,
  recent: Numbers,
  cos: Numbers,
  sin: Numbers,
  firstRecent: number,
  width: number,
  headDim: number,
  half: number,
) {
  let value = 0;
  if (this.thread.z < firstRecent) {
    value = stored[this.thread.z][0][this.thread.x];
  } else {
    value = recent[this.thread.z - firstRecent][0][this.thread.x];
  }
  const head = Math.floor((this.thread.x + 0.5) / headDim);
  const place = this.thread.x - head * headDim;
  if (this.thread.x < width && place < half + half) {
    // The partner stands half a rotation away: behind for the first half, before for the second.
    let away = half;
    let angle = place;
    if (place >= half) {
      away = 0 - half;
      angle = place - half;
    }
    let other = 0;
    if (this.thread.z < firstRecent) {
      other = stored[this.thread.z][0][this.thread.x + away];
    } else {
      other = recent[this.thread.z - firstRecent][0][this.thread.x + away];
    }
    if (place < half) {
      other = 0 - other;
    }
    value = value * cos[this.thread.z][0][angle] + other * sin[this.thread.z][0][angle];
  }
  return value;
}

/**
 * `scale · query · key` for every key (column, from `firstKey` on) of every head of every token (row: token · heads + head);
 * -1e20 where the mask hides the key.
 */
export function attentionScores(
  this: Kernel,
  queries: Numbers,
  stored: Numbers,
  recent: Numbers,
  firstRecent: number,
  firstKey: number,
  firstToken: number,
  heads: number,
  headsPerKey: number,
  headDim: number,
  scale: number,
  firstPosition: number,
  isCausal: number,
  slidingWindow: number,
  blockSize: number,
  numLocalBlocks: number,
  verticalStride: number,
  headStep: number,
) {
  const key = this.thread.x + firstKey;
  const rowToken = Math.floor((this.thread.z + 0.5) / heads);
  const head = this.thread.z - rowToken * heads;
  const token = rowToken + firstToken;
  const position = token + firstPosition;
  let isSeen = 1;
  if (isCausal > 0 && key > position) {
    isSeen = 0;
  }
  if (slidingWindow > 0 && key <= position - slidingWindow) {
    isSeen = 0;
  }
  if (blockSize > 0) {
    const ownBlock = Math.floor((position + 0.5) / blockSize);
    const block = Math.floor((key + 0.5) / blockSize);
    const shifted = block + head * headStep + 1;
    const remainder = shifted - Math.floor((shifted + 0.5) / verticalStride) * verticalStride;
    if (ownBlock - block >= numLocalBlocks && remainder > 0) {
      isSeen = 0;
    }
  }
  let score = -100000000000000000000;
  if (isSeen > 0) {
    const queryStart = head * headDim;
    const keyStart = Math.floor((head + 0.5) / headsPerKey) * headDim;
    let sum = 0;
    if (key < firstRecent) {
      for (let i = 0; i < headDim; i++) {
        sum = sum + queries[token][0][queryStart + i] * stored[key][0][keyStart + i];
      }
    } else {
      for (let j = 0; j < headDim; j++) {
        sum = sum + queries[token][0][queryStart + j] * recent[key - firstRecent][0][keyStart + j];
      }
    }
    score = sum * scale;
  }
  return score;
}

/** For every slice of a row of scores its largest (even columns) and the sum of exponentials around it (odd columns). */
export function softmaxSlices(this: Kernel, scores: Numbers, keys: number, keysPerSlice: number) {
  const part = Math.floor((this.thread.x + 0.5) / 2);
  const start = part * keysPerSlice;
  const count = Math.min(keysPerSlice, keys - start);
  let largest = -100000000000000000000;
  for (let i = 0; i < count; i++) {
    largest = Math.max(largest, scores[this.thread.z][0][start + i]);
  }
  let result = largest;
  if (this.thread.x - 2 * part > 0.5) {
    result = 0;
    for (let j = 0; j < count; j++) {
      const score = scores[this.thread.z][0][start + j];
      if (score > -50000000000000000000) {
        result = result + Math.exp(score - largest);
      }
    }
  }
  return result;
}

/** The values of all keys, weighted by the softmax of their scores. */
export function attentionMix(
  this: Kernel,
  scores: Numbers,
  parts: Numbers,
  stored: Numbers,
  recent: Numbers,
  firstRecent: number,
  firstKey: number,
  keys: number,
  slices: number,
  heads: number,
  headsPerKey: number,
  headDim: number,
  width: number,
) {
  const head = Math.floor((this.thread.x + 0.5) / headDim);
  const row = this.thread.z * heads + head;
  const column = width + Math.floor((head + 0.5) / headsPerKey) * headDim + this.thread.x - head * headDim;
  let largest = -100000000000000000000;
  for (let i = 0; i < slices; i++) {
    largest = Math.max(largest, parts[row][0][2 * i]);
  }
  let total = 0;
  for (let j = 0; j < slices; j++) {
    if (parts[row][0][2 * j] > -50000000000000000000) {
      total = total + parts[row][0][2 * j + 1] * Math.exp(parts[row][0][2 * j] - largest);
    }
  }
  let sum = 0;
  for (let index = 0; index < keys; index++) {
    const score = scores[row][0][index];
    if (score > -50000000000000000000) {
      const key = index + firstKey;
      const weight = Math.exp(score - largest);
      if (key < firstRecent) {
        sum = sum + weight * stored[key][0][column];
      } else {
        sum = sum + weight * recent[key - firstRecent][0][column];
      }
    }
  }
  return sum / total;
}

// For several tokens at once the weights of the softmax are computed once per head and key, and not for every component of a
// head again. For one token that would only be two kernels more to launch.

/** Of every row: the largest score, and the sum of exponentials around it. */
export function softmaxTotals(this: Kernel, parts: Numbers, slices: number) {
  let largest = -100000000000000000000;
  for (let i = 0; i < slices; i++) {
    largest = Math.max(largest, parts[this.thread.z][0][2 * i]);
  }
  let result = largest;
  if (this.thread.x > 0) {
    result = 0;
    for (let j = 0; j < slices; j++) {
      if (parts[this.thread.z][0][2 * j] > -50000000000000000000) {
        result = result + parts[this.thread.z][0][2 * j + 1] * Math.exp(parts[this.thread.z][0][2 * j] - largest);
      }
    }
  }
  return result;
}

/** The softmax of every row; 0 for hidden keys. */
export function softmaxWeights(this: Kernel, scores: Numbers, totals: Numbers) {
  const score = scores[this.thread.z][0][this.thread.x];
  let weight = 0;
  if (score > -50000000000000000000) {
    weight = Math.exp(score - totals[this.thread.z][0][0]) / totals[this.thread.z][0][1];
  }
  return weight;
}

/** The values of all keys, weighted. */
export function mixValues(
  this: Kernel,
  weights: Numbers,
  stored: Numbers,
  recent: Numbers,
  firstRecent: number,
  firstKey: number,
  keys: number,
  heads: number,
  headsPerKey: number,
  headDim: number,
  width: number,
) {
  const head = Math.floor((this.thread.x + 0.5) / headDim);
  const row = this.thread.z * heads + head;
  const column = width + Math.floor((head + 0.5) / headsPerKey) * headDim + this.thread.x - head * headDim;
  const keysOfStored = Math.max(0, Math.min(keys, firstRecent - firstKey));
  const keysOfRecent = keys - keysOfStored;
  let sum = 0;
  for (let i = 0; i < keysOfStored; i++) {
    sum = sum + weights[row][0][i] * stored[firstKey + i][0][column];
  }
  for (let j = 0; j < keysOfRecent; j++) {
    const index = keysOfStored + j;
    sum = sum + weights[row][0][index] * recent[firstKey + index - firstRecent][0][column];
  }
  return sum;
}
