import { describe, expect, it } from 'vitest';
import { createSeededRandom, examplesOf, expectClose } from './index.ts';

describe('expectClose', () => {
  const tolerance = { absolute: 0.1, reason: 'made up' };

  it('passes within the tolerance', () => expectClose([1, 2], [1.05, 1.95], tolerance));
  it('names the worst element', () =>
    expect(() => expectClose([1, 2, 3], [1.2, 2.5, 3], tolerance)).toThrow(/tensor\[1\]: got 2, expected 2.5/));
  it('fails on NaN even when both are NaN', () =>
    expect(() => expectClose([Number.NaN], [Number.NaN], tolerance)).toThrow(/NaN/));
  it('takes equal infinities as equal', () => expectClose([-Infinity], [-Infinity], tolerance));
  it('fails on another length', () => expect(() => expectClose([1], [1, 2], tolerance)).toThrow());
});

it('seeded numbers repeat', () => {
  expect(createSeededRandom(7).normals(4)).toEqual(createSeededRandom(7).normals(4));
  expect(createSeededRandom(7).normals(4)).not.toEqual(createSeededRandom(8).normals(4));
});

it('examples are found in comments and nowhere else', () => {
  expect(examplesOf('/**\n * Text.\n * @example\n * f(1); // => 2\n * @throws never\n */\n// @example no')).toEqual([
    'f(1); // => 2',
  ]);
});
