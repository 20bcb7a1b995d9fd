import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { positionLimit, type RotaryConfig, rotaryDim } from './config.ts';

/**
 * A model and the length to which it is to be extended.
 *
 * Trap: the published search takes `sliding_window` for the original length where a configuration has one, which for
 * Phi-3-mini-4k gives 2047 and doubles the scale. Here it is what the name says.
 */
export interface ContextExtension extends Pick<RotaryConfig, 'headDim' | 'ropeTheta' | 'partialRotaryFactor'> {
  /** L0, the length in tokens that the model was trained on. */
  readonly originalMaxPositionEmbeddings: number;
  /** The length in tokens to extend to; s is this over L0. */
  readonly targetLength: number;
}

const names = ['headDim', 'ropeTheta', 'partialRotaryFactor', 'originalMaxPositionEmbeddings', 'targetLength'];

/** What the formulas need of an extension, checked. */
export interface CheckedExtension {
  /** R */
  readonly rotaryDim: number;
  /** R/2 */
  readonly numFrequencies: number;
  readonly ropeTheta: number;
  /** L0 */
  readonly originalLength: number;
  /** s */
  readonly scale: number;
}

export function checkExtension(
  functionName: string,
  extension: ContextExtension,
  more: string[] = [],
): CheckedExtension {
  if (typeof extension !== 'object' || extension === null) {
    throw new ArgumentError({ function: functionName, argument: 'extension', expected: 'an object', got: extension });
  }
  expectKnownOptions(functionName, extension, [...names, ...more]);
  const expect = (field: keyof ContextExtension, accepts: (value: number) => boolean, expected: string): number => {
    const got = extension[field];
    if (typeof got === 'number' && accepts(got)) return got;
    throw new ArgumentError({ function: functionName, argument: `extension.${field}`, expected, got });
  };
  const isLength = (value: number): boolean => Number.isInteger(value) && value >= 2 && value <= positionLimit;
  expect(
    'headDim',
    (value) => Number.isInteger(value) && value >= 4 && value <= positionLimit,
    'a whole number from 4',
  );
  const ropeTheta = expect('ropeTheta', (value) => value > 1 && Number.isFinite(value), 'a finite number above 1');
  if (extension.partialRotaryFactor !== undefined) {
    expect('partialRotaryFactor', (value) => value > 0 && value <= 1, 'a number above 0 and up to 1');
  }
  const originalLength = expect('originalMaxPositionEmbeddings', isLength, 'a whole number from 2 to 2^24');
  const expectedTarget = `a whole number above originalMaxPositionEmbeddings (${originalLength}), up to 2^24`;
  const target = expect('targetLength', (value) => isLength(value) && value > originalLength, expectedTarget);
  const dimension = rotaryDim(extension);
  if (dimension < 4 || dimension % 2 !== 0) {
    throw new ArgumentError({
      function: functionName,
      argument: 'extension.headDim',
      expected: 'an even rotary dimension headDim · partialRotaryFactor of at least 4',
      got: dimension,
    });
  }
  return {
    rotaryDim: dimension,
    numFrequencies: dimension / 2,
    ropeTheta,
    originalLength,
    scale: target / originalLength,
  };
}
