import { createRotaryTable, type FactorList, inverseFrequencies } from '@phiblocks/longrope';
import { rotaryConfigOf } from '@phiblocks/runtime';
import type { ModelConfig } from '@phiblocks/weights';

/** One pair of components of a head, at one position. */
export interface RotatedPair {
  /** The pair is component i and component i + R/2. */
  readonly pair: number;
  /** Radians per position. */
  readonly frequency: number;
  /** Positions per full turn. */
  readonly wavelength: number;
  /** Full turns from position 0 to this one. */
  readonly turns: number;
  /** Where the pair points now, in −π … π. */
  readonly angleInRadians: number;
}

/** The pairs of a head at a position, as `createRotaryTable` turns them. */
export function ropeAngles(config: ModelConfig, position: number, list: FactorList): RotatedPair[] {
  const rotary = rotaryConfigOf(config);
  const frequencies = inverseFrequencies(rotary, list);
  const { cos, sin } = createRotaryTable(rotary, { start: position, length: 1, list });
  return Array.from(frequencies, (frequency, pair) => ({
    pair,
    frequency,
    wavelength: (2 * Math.PI) / frequency,
    turns: (position * frequency) / (2 * Math.PI),
    angleInRadians: Math.atan2(sin.data[pair]!, cos.data[pair]!),
  }));
}

/** The lists that a member has. */
export function listsOf(config: ModelConfig): FactorList[] {
  return config.ropeScaling === undefined ? ['none'] : ['short', 'long', 'none'];
}
