// Where erf is 1 to the last bit of float64: 1 - erf(6) is 2e-17.
const flat = 6;
// Below: the series needs fewer terms. Above: the continued fraction needs fewer levels.
const border = 2.5;
const levelsOfFraction = 60;

/**
 * The error function `2/√π · ∫₀ˣ exp(-t²) dt`, accurate to a few units of float64 rounding.
 *
 * Source: DLMF 7.6.2 (a series without cancellation, since all its terms have one sign) and 7.9.1 (continued fraction).
 *
 * @returns from -1 to 1; NaN for NaN
 * @example
 * erf(1); // => 0.8427007929497149
 */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size >= flat) return Math.sign(x);
  return size < border ? series(x) : Math.sign(x) * (1 - complement(size));
}

/** `2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n+1))` */
function series(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Number.EPSILON * Math.abs(sum) * 0.25; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** `exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))`, evaluated from the inside out. */
function complement(x: number): number {
  let fraction = x;
  for (let level = levelsOfFraction; level >= 1; level--) fraction = x + level / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}
