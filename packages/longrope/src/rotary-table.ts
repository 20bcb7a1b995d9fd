import { ArgumentError, createFloatTensor, expectKnownOptions, type FloatTensor, Phi3Error } from '@phiblocks/tensor';
import { attentionFactor } from './attention-factor.ts';
import { type FactorList, positionLimit, type RotaryConfig, validateRotaryConfig } from './config.ts';
import { inverseFrequencies } from './inverse-frequencies.ts';

/** Cosines and sines of T positions, with the attention factor already in them. */
export interface RotaryTable {
  /** `[T, R/2]` */
  readonly cos: FloatTensor;
  /** `[T, R/2]` */
  readonly sin: FloatTensor;
}

/** The positions of a table: `length` of them from `start` on, or any others. */
export type RotaryTableOptions = (
  | { readonly start: number; readonly length: number; readonly positions?: undefined }
  | { readonly positions: Int32Array; readonly start?: undefined; readonly length?: undefined }
) & {
  /** From `selectFactorList`. May be left out where the configuration has no `ropeScaling`. */
  readonly list?: FactorList | undefined;
};

/**
 * Cosines and sines by which `applyRotary` turns heads.
 *
 * Rounded to float32 where the published code rounds: the frequencies, position · frequency, the cosine, and its product
 * with the attention factor. At large positions that rounding is part of the result: near position 131072 a float32 angle
 * is up to 0.004 away from the exact one.
 *
 * Source: RoPE, arXiv:2104.09864 §3.4.2; LongRoPE, arXiv:2402.13753 §3; the published model code.
 * Shapes: T tokens, R rotaryDim.
 *
 * @param config - checked by `validateRotaryConfig`
 * @param options - the positions, from 0 to 2^24 - 1, and the factor list
 * @returns cos and sin, float32 `[T, R/2]`: pair i holds component i and component i + R/2
 * @throws Phi3Error `LR_LIST_MISSING` when the configuration has `ropeScaling` and no list is given; `LR_NO_FACTORS` the
 * other way round; `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for a position outside its range, or both or neither way of giving positions; as
 * `validateRotaryConfig` for the configuration
 * @example
 * const config = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
 * createRotaryTable(config, { start: 0, length: 3 }).cos.shape; // => [3, 2]
 * createRotaryTable(config, { positions: Int32Array.of(1) }).sin.data; // => [Math.sin(1), Math.sin(0.01)]
 */
export function createRotaryTable(config: RotaryConfig, options: RotaryTableOptions): RotaryTable {
  validateRotaryConfig(config);
  expectKnownOptions('createRotaryTable', options, ['start', 'length', 'positions', 'list']);
  if (options.list === undefined && config.ropeScaling !== undefined) {
    throw new Phi3Error({
      code: 'LR_LIST_MISSING',
      function: 'createRotaryTable',
      argument: 'options.list',
      expected: 'short or long (or none for plain RoPE), because the configuration has ropeScaling',
      got: undefined,
      hint: 'selectFactorList chooses it',
    });
  }
  const list = options.list ?? 'none';
  const frequencies = inverseFrequencies(config, list);
  const factor = Math.fround(attentionFactor(config, list));
  const scale = config.ropePositionScale ?? 1;
  const positions = positionsOf(options);
  const numPairs = frequencies.length;
  const cos = new Float32Array(positions.length * numPairs);
  const sin = new Float32Array(positions.length * numPairs);
  for (let t = 0; t < positions.length; t++) {
    const position = Math.fround(positions[t]! * scale);
    for (let i = 0; i < numPairs; i++) {
      const angle = Math.fround(position * frequencies[i]!);
      cos[t * numPairs + i] = Math.fround(Math.cos(angle)) * factor;
      sin[t * numPairs + i] = Math.fround(Math.sin(angle)) * factor;
    }
  }
  const shape = [positions.length, numPairs];
  return { cos: createFloatTensor(cos, shape), sin: createFloatTensor(sin, shape) };
}

function positionsOf(options: RotaryTableOptions): Int32Array {
  const { start, length, positions } = options;
  if ((positions === undefined) === (start === undefined && length === undefined)) {
    throw new ArgumentError({
      function: 'createRotaryTable',
      argument: 'options',
      expected: 'either start and length or positions',
      got: positions,
    });
  }
  if (positions === undefined) {
    expectWhole('start', start!);
    expectWhole('length', length!);
    if (start! + length! > positionLimit) expectWhole('start + length', start! + length!);
    return Int32Array.from({ length: length! }, (_, t) => start! + t);
  }
  if (!(positions instanceof Int32Array)) {
    throw new ArgumentError({
      function: 'createRotaryTable',
      argument: 'options.positions',
      expected: 'an Int32Array',
      got: positions,
    });
  }
  for (let t = 0; t < positions.length; t++) {
    if (positions[t]! < 0 || positions[t]! >= positionLimit) expectWhole(`positions[${t}]`, positions[t]!);
  }
  return positions;
}

function expectWhole(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= positionLimit) {
    throw new ArgumentError({
      function: 'createRotaryTable',
      argument: `options.${name}`,
      expected: 'a whole number from 0 to 2^24 - 1',
      got: value,
    });
  }
}
