/**
 * Gated activation of rows that hold the gate in their first half and the linear part in their second.
 *
 * `swiglu`: `silu(gate) · up` with `silu(z) = z · sigmoid(z)` (Phi-3-mini, medium, MoE experts).
 * `gegelu`: `min(gate, limit) · sigmoid(1.702 · min(gate, limit)) · (clamp(up, ±limit) + 1)`; infinities pass the clamp
 * (Phi-3-small; the clamp of the gate is one-sided).
 *
 * Source: SwiGLU, arXiv:2002.05202; `gegelu` of the model code published with Phi-3-small.
 *
 * @param x - rows of `2 · size` elements
 * @param size - I, the width of the result
 */
export function gatedActivationRows(
  x: Float32Array,
  size: number,
  kind: 'swiglu' | 'gegelu',
  limit = Number.POSITIVE_INFINITY,
): Float32Array {
  const out = new Float32Array(x.length / 2);
  for (let row = 0; row * size < out.length; row++) {
    const gates = 2 * row * size;
    const ups = gates + size;
    for (let i = 0; i < size; i++) {
      const gate = x[gates + i]!;
      const up = x[ups + i]!;
      out[row * size + i] = kind === 'swiglu' ? (gate / (1 + Math.exp(-gate))) * up : gegelu(gate, up, limit);
    }
  }
  return out;
}

function gegelu(gate: number, up: number, limit: number): number {
  const clampedGate = Number.isFinite(gate) ? Math.min(gate, limit) : gate;
  const clampedUp = Number.isFinite(up) ? Math.max(-limit, Math.min(up, limit)) : up;
  return quickGelu(clampedGate) * (clampedUp + 1);
}

/** `z · sigmoid(1.702 z)`, the approximation of GELU that CLIP and Phi-3-small use. */
export function quickGelu(z: number): number {
  return z / (1 + Math.exp(-1.702 * z));
}

/** Exact GELU: `z · Φ(z)` with the normal distribution function Φ. Source: arXiv:1606.08415. */
export function gelu(z: number): number {
  return 0.5 * z * (1 + erf(z / Math.SQRT2));
}

/**
 * The error function to double precision: its Taylor series near zero, the continued fraction of erfc beyond.
 * Source: NIST Digital Library of Mathematical Functions, 7.6.1 and 7.9.1.
 */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x); // 1 - erf(6) is below 2^-53
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * (z + fraction)));
}
