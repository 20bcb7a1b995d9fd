import { ArgumentError, isPhi3Error, ShapeError } from '@phiblocks/tensor';
import { describe, expect, it } from 'vitest';
import { type RotaryConfig, rotaryDim, validateRotaryConfig } from './config.ts';

const plain: RotaryConfig = { headDim: 8, ropeTheta: 10000, maxPositionEmbeddings: 64 };
const scaled: RotaryConfig = {
  ...plain,
  originalMaxPositionEmbeddings: 16,
  ropeScaling: { type: 'longrope', shortFactor: [1, 1, 1, 1], longFactor: [1, 2, 3, 4] },
};

describe('rotaryDim', () => {
  it('is the whole head by default and truncates like the published code', () => {
    expect(rotaryDim({ headDim: 96 })).toBe(96);
    expect(rotaryDim({ headDim: 128, partialRotaryFactor: 0.75 })).toBe(96);
    expect(rotaryDim({ headDim: 10, partialRotaryFactor: 0.25 })).toBe(2);
  });
});

describe('validateRotaryConfig', () => {
  it('returns what it accepts', () => {
    expect(validateRotaryConfig(plain)).toBe(plain);
    expect(validateRotaryConfig(scaled)).toBe(scaled);
    expect(validateRotaryConfig({ ...scaled, maxPositionEmbeddings: 16 })).toBeDefined();
  });

  const scaling = scaled.ropeScaling!;
  const wrong: [Partial<Record<keyof RotaryConfig, unknown>>, string][] = [
    [{ headDim: 0 }, 'config.headDim'],
    [{ headDim: 7.5 }, 'config.headDim'],
    [{ headDim: '8' }, 'config.headDim'],
    [{ headDim: 7 }, 'config.headDim'],
    [{ partialRotaryFactor: 0.4 }, 'config.headDim'],
    [{ partialRotaryFactor: 0 }, 'config.partialRotaryFactor'],
    [{ partialRotaryFactor: 1.25 }, 'config.partialRotaryFactor'],
    [{ ropeTheta: Number.NaN }, 'config.ropeTheta'],
    [{ ropeTheta: Number.POSITIVE_INFINITY }, 'config.ropeTheta'],
    [{ ropePositionScale: 0 }, 'config.ropePositionScale'],
    [{ maxPositionEmbeddings: 1e12 }, 'config.maxPositionEmbeddings'],
    [{ maxPositionEmbeddings: 0 }, 'config.maxPositionEmbeddings'],
    [{ originalMaxPositionEmbeddings: undefined }, 'config.originalMaxPositionEmbeddings'],
    [{ originalMaxPositionEmbeddings: 1 }, 'config.originalMaxPositionEmbeddings'],
    [{ originalMaxPositionEmbeddings: -4 }, 'config.originalMaxPositionEmbeddings'],
    [{ ropeScaling: null }, 'config.ropeScaling'],
    [{ ropeScaling: { ...scaling, type: 'linear' } }, 'config.ropeScaling.type'],
    [{ ropeScaling: { ...scaling, shortFactor: undefined } }, 'config.ropeScaling.shortFactor'],
    [{ ropeScaling: { ...scaling, longFactor: [1, 0, 1, 1] } }, 'config.ropeScaling.longFactor[1]'],
    [{ ropeScaling: { ...scaling, longFactor: [1, 1, 1, Number.NaN] } }, 'config.ropeScaling.longFactor[3]'],
    [{ ropeScaling: { ...scaling, shortFactor: [1, 1, -1, 1] } }, 'config.ropeScaling.shortFactor[2]'],
    [{ ropeScaling: { ...scaling, shortFactor: ['1', 1, 1, 1] } }, 'config.ropeScaling.shortFactor[0]'],
    [{ ropeScaling: { ...scaling, shortMscale: 0 } }, 'config.ropeScaling.shortMscale'],
    [{ ropeScaling: { ...scaling, longMscale: -1 } }, 'config.ropeScaling.longMscale'],
  ];
  it.each(wrong)('rejects %j and names %s', (change, argument) => {
    const config = { ...scaled, ...change } as RotaryConfig;
    expect(() => validateRotaryConfig(config)).toThrow(ArgumentError);
    expect(() => validateRotaryConfig(config)).toThrow(expect.objectContaining({ code: 'ARGUMENT', argument }));
  });

  it('rejects a list that has not half as many factors as components rotate', () => {
    const config = { ...scaled, ropeScaling: { ...scaling, longFactor: [1, 2, 3] } };
    expect(() => validateRotaryConfig(config)).toThrow(ShapeError);
    expect(() => validateRotaryConfig(config)).toThrow(
      'SHAPE validateRotaryConfig(config.ropeScaling.longFactor): expected 4 factors, half the rotary dimension, got 3',
    );
    expect(() => validateRotaryConfig({ ...scaled, partialRotaryFactor: 0.75 })).toThrow(/expected 3 factors/);
  });

  it('rejects names that nothing reads', () => {
    for (const config of [
      { ...plain, rope_theta: 5 },
      { ...scaled, ropeScaling: { ...scaling, factor: 4 } },
    ]) {
      try {
        validateRotaryConfig(config);
        expect.unreachable();
      } catch (error) {
        expect(isPhi3Error(error, 'OPTION_UNKNOWN')).toBe(true);
      }
    }
  });
});
