import { type Arithmetic, stored, sumError } from './arithmetic.ts';
import { allocate, type Defined, norm } from './define.ts';

/** Which keys a query sees. */
export interface Visibility {
  /** i − window < j ≤ i */
  readonly window?: number | undefined;
  readonly blocks?:
    | { readonly size: number; readonly local: number; readonly stride: number; readonly headStep: number }
    | undefined;
  /** Every query sees every key: the image encoder. */
  readonly isFull?: boolean;
}

/** Whether query position `i` of head `h` sees key position `j`. Source: `modeling_phi3.py`; the paper, §2, for blocks. */
export function sees({ window, blocks, isFull }: Visibility, h: number, i: number, j: number): boolean {
  if (isFull) return true;
  if (j > i) return false;
  if (window !== undefined && j <= i - window) return false;
  if (!blocks) return true;
  const queryBlock = Math.floor(i / blocks.size);
  const keyBlock = Math.floor(j / blocks.size);
  return queryBlock - keyBlock < blocks.local || (keyBlock + h * blocks.headStep + 1) % blocks.stride === 0;
}

export interface AttentionDefinition {
  /** `[T, H·D]`, the first at position `start`. */
  readonly queries: Float32Array;
  /** `[S, K·D]` */
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly start: number;
  readonly scale: number;
  readonly visibility: Visibility;
}

/** `softmax(scale · q kᵀ) v`; query head h reads key/value head floor(h / (H / K)). */
export function attention(
  { queries, keys, values, numHeads, numKeyValueHeads, headDim, start, scale, visibility }: AttentionDefinition,
  arithmetic: Arithmetic,
): Defined {
  const width = numHeads * headDim;
  const keyWidth = numKeyValueHeads * headDim;
  const numTokens = queries.length / width;
  const numKeys = keys.length / keyWidth;
  const result = allocate(numTokens, width);
  const scores = new Float64Array(numKeys);
  const isFloat32 = arithmetic.sums > 2 ** -40;
  for (let token = 0; token < numTokens; token++) {
    for (let h = 0; h < numHeads; h++) {
      const query = token * width + h * headDim;
      const group = Math.floor(h / (numHeads / numKeyValueHeads)) * headDim;
      let largest = Number.NEGATIVE_INFINITY;
      let keyNorm = 0;
      for (let j = 0; j < numKeys; j++) {
        if (!sees(visibility, h, start + token, j)) {
          scores[j] = Number.NEGATIVE_INFINITY;
          continue;
        }
        let score = 0;
        for (let d = 0; d < headDim; d++) score += queries[query + d]! * keys[j * keyWidth + group + d]!;
        scores[j] = score * scale;
        largest = Math.max(largest, scores[j]!);
        if (isFloat32) keyNorm = Math.max(keyNorm, norm(keys, j * keyWidth + group, headDim));
      }
      let total = 0;
      for (let j = 0; j < numKeys; j++) {
        scores[j] = Math.exp(scores[j]! - largest);
        total += scores[j]!;
      }
      const queryNorm = norm(queries, query, headDim);
      // A score that is off by δ changes its weight by δ of itself, and the mean by as much of the values' size.
      const scoreError =
        sumError(arithmetic, headDim) * queryNorm * keyNorm * scale + (isFloat32 ? stored * Math.abs(largest) : 0);
      const relative = 2 * scoreError + 2 * arithmetic.functions + sumError(arithmetic, numKeys);
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        let size = 0;
        for (let j = 0; j < numKeys; j++) {
          if (scores[j] === 0) continue;
          const part = scores[j]! * values[j * keyWidth + group + d]!;
          sum += part;
          size += Math.abs(part);
        }
        const at = query + d;
        result.exact[at] = sum / total;
        result.budget[at] = 2 * stored * Math.abs(sum / total) + (relative * size) / total;
      }
    }
  }
  return result;
}
