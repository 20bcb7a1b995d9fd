import { expect, it } from 'vitest';
import { decodeInBrowser } from '../../src/index.ts';
import { makeTransparentPng } from '../transparent-png.ts';

it('IM-07 colours under transparency are read to the bit, as in Node', async () => {
  const { file, width, height, rgb } = makeTransparentPng();
  const image = await decodeInBrowser(new Blob([file]));
  expect([image.width, image.height]).toEqual([width, height]);
  expect([...image.data]).toEqual(rgb);
});

it('a picture with transparency that no texture holds is an error that says so', async () => {
  const getParameter = WebGL2RenderingContext.prototype.getParameter;
  WebGL2RenderingContext.prototype.getParameter = function (name: number) {
    return name === this.MAX_TEXTURE_SIZE ? 16 : getParameter.call(this, name);
  };
  try {
    const decoding = decodeInBrowser(new Blob([makeTransparentPng().file]));
    await expect(decoding).rejects.toMatchObject({
      code: 'IM_DECODE',
      expected: expect.stringContaining('at most 16 pixels'),
    });
  } finally {
    WebGL2RenderingContext.prototype.getParameter = getParameter;
  }
});
