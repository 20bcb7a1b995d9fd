import { describe, expect, it } from 'vitest';
import { logitCases, testStep } from '../test/step-properties.ts';
import { applyTemperature } from './apply-temperature.ts';
import { softmax } from './softmax.ts';

describe('applyTemperature', () => {
  it('divides', () => {
    for (const { logits } of logitCases().filter((one) => one.name !== 'extremes of float32')) {
      for (const temperature of [0.3, 1, 1.7]) {
        const expected = logits.map((logit) => logit / temperature);
        expect(applyTemperature(logits, temperature)).toEqual(expected);
      }
    }
  });

  it('by hand', () => expect(applyTemperature(Float32Array.of(1, -3), 2)).toEqual(Float32Array.of(0.5, -1.5)));

  it('stays a distribution where the quotient leaves the float32 range', () => {
    for (const logits of [Float32Array.of(5, 7, -3), Float32Array.of(-5, -3, -9), Float32Array.of(3e38, 3.1e38, 0)]) {
      expect(softmax(applyTemperature(logits, 1e-300))).toEqual(Float32Array.of(0, 1, 0));
    }
    expect(softmax(applyTemperature(Float32Array.of(3e38, -3e38), 1e300))).toEqual(Float32Array.of(0.5, 0.5));
  });

  testStep((logits, out) => applyTemperature(logits, 0.7, out));

  it('rejects temperatures that divide nothing', () => {
    for (const temperature of [0, -1, Number.NaN, Infinity]) {
      expect(() => applyTemperature(new Float32Array(3), temperature)).toThrow(
        `ARGUMENT applyTemperature(temperature): expected a number above 0, got ${temperature}`,
      );
    }
  });
});
