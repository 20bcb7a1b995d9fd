// What rounding alone may do. Every budget below is derived from the unit roundoff u of the number formats in use; a block
// that leaves its budget computes something else.

/** How an implementation rounds. */
export interface Arithmetic {
  readonly name: string;
  /** Unit roundoff of running sums. */
  readonly sums: number;
  /** Relative error of exp, sqrt and 1/x as the implementation computes them, before storing. */
  readonly functions: number;
}

/** Unit roundoff of float32, in which every tensor is stored. */
export const stored = 2 ** -24;

/** The reference backend: sums and functions in float64, results rounded to float32. */
export const float64Sums: Arithmetic = { name: 'float64 sums, float32 results', sums: 2 ** -53, functions: 2 ** -51 };

/** Everything in float32, functions with polynomials a few units wide. */
export const float32Sums: Arithmetic = { name: 'float32 sums and results', sums: 2 ** -24, functions: 2 ** -20 };

/**
 * How far a sum of n products may be off, relative to ‖x‖·‖w‖: λ·√n·u. Rounding errors of a sum behave as independent and
 * of mean zero, so they grow with √n, not n; λ = 4 leaves a probability below 1e-6 per million elements in practice.
 * Source: Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019.
 */
export function sumError({ sums }: Arithmetic, n: number): number {
  return 4 * Math.sqrt(n) * sums;
}

/** In words, for reports. */
export const budgetReasons: Readonly<Record<string, string>> = {
  exact: 'nothing is computed: values are moved, so every bit must be equal',
  linear: '2u·|y| + 4·√n·u_sum·‖x‖·‖w‖: storing y, and a sum of n products (Higham and Mary 2019)',
  norm: 'the sum of squares over the row, two divisions and two products, each rounded once',
  rotaryTable: 'an inverse frequency two units off turns the angle by 2^-23 of itself; then cosine and product round',
  rotate: '3u·(|x·c| + |x′·s|): two products and a sum',
  attention: 'scores by dot products of D terms, exp, and a weighted mean over S keys',
  gated: 'exp, one division and two products; near a clamp nothing else',
  experts: 'as two linears in a row: the inner rounding is carried through |w2|',
  add: '2u·|y|: one sum',
  routing: 'as a linear for the scores; a choice closer than that is not compared',
};
