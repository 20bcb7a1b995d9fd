import { copyLogits, expectNumber, largestLogit } from './checks.ts';

/**
 * Divides every logit by the temperature: below 1 sharpens the distribution, above 1 flattens it.
 *
 * Source: `TemperatureLogitsWarper` of transformers. Where the quotient would leave the float32 range (a temperature like
 * 1e-38), the largest logit is subtracted first, which leaves the distribution as it is.
 *
 * @param logits - `[V]`
 * @param temperature - above 0; the limit 0 is `pickGreedy`
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a temperature that is not above 0 and finite
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * applyTemperature(Float32Array.of(1, 2, -Infinity), 0.5); // => [2, 4, -Infinity]
 */
export function applyTemperature(logits: Float32Array, temperature: number, out?: Float32Array): Float32Array {
  expectNumber(
    'applyTemperature',
    'temperature',
    temperature,
    'a number above 0',
    (value) => value > 0 && value < Infinity,
  );
  const result = copyLogits('applyTemperature', logits, out);
  divideByTemperature(result, temperature);
  return result;
}

/** {@link applyTemperature} in place. */
export function divideByTemperature(logits: Float32Array, temperature: number): void {
  const largest = largestLogit(logits);
  if (largest === -Infinity) return;
  const shift = Number.isFinite(Math.fround(largest / temperature)) ? 0 : largest;
  for (let id = 0; id < logits.length; id++) logits[id] = (logits[id]! - shift) / temperature;
}
