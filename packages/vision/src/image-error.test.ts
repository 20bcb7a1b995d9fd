import { isPhi3Error } from '@phiblocks/tensor';
import { expect, it } from 'vitest';
import { ImageError, imageErrorCodes } from './image-error.ts';

it('an ImageError is recognised by its code', () => {
  const error = new ImageError({ code: 'IM_DATA', function: 'grayToRgb' });
  expect(isPhi3Error(error, 'IM_DATA')).toBe(true);
  expect(error.name).toBe('ImageError');
});

it('every code says what it means', () => {
  for (const [code, meaning] of Object.entries(imageErrorCodes)) {
    expect(code).toMatch(/^IM_[A-Z_]+$/);
    expect(meaning).toMatch(/^[A-Z].*\.$/);
  }
});
