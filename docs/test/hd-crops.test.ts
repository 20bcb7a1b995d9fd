import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { cropGrid, cropSize, samplePicture, transformed } from '../figures/hd-crops.ts';

describe('the figure of the HD transform', () => {
  it('by hand: a picture of 2 × 1 pixels with 16 crops', () => {
    const grid = cropGrid(2, 1, 16);
    // ratio 2: the largest scale with scale · ceil(scale / 2) ≤ 16 is 5, so 1680 × 840, padded to 1008.
    expect([grid.size.width, grid.size.height]).toEqual([1680, 1008]);
    expect([grid.numRows, grid.numColumns]).toEqual([3, 5]);
    expect(grid.numTokens).toBe((15 + 1) * 144 + 1 + (3 + 1) * 12);
    expect(grid.paddingShare).toBeCloseTo(1 - 840 / 1008, 12);
    expect(grid.enlargement).toBe(840);
    expect(cropSize).toBe(336);
  });

  it('what is drawn is the transformed picture, with white where it was padded', () => {
    const image = transformed(samplePicture(40, 30), 4);
    const grid = cropGrid(40, 30, 4);
    expect([image.width, image.height]).toEqual([grid.size.width, grid.size.height]);
    expect([...image.data.subarray(0, 3)]).toEqual(grid.size.paddingBefore > 0 ? [255, 255, 255] : expect.anything());
  });

  it('a picture on its side has the same crops on their sides', () => {
    const [wide, tall] = [cropGrid(640, 360, 16), cropGrid(360, 640, 16)];
    expect([wide.numRows, wide.numColumns]).toEqual([tall.numColumns, tall.numRows]);
  });
});

describeWithShared('against sizes of the published processor', 'goldens/block-image-a/case.json', () => {
  const { size_table } = JSON.parse(readFileSync(sharedPath('goldens', 'block-image-a', 'case.json'), 'utf8')) as {
    size_table: [number, number, number, number, number, number][];
  };

  it('every row of the table', () => {
    expect(size_table.length).toBeGreaterThan(20);
    for (const [width, height, numCrops, hdWidth, hdHeight, numTokens] of size_table) {
      const grid = cropGrid(width, height, numCrops);
      expect([grid.size.width, grid.size.height, grid.numTokens]).toEqual([hdWidth, hdHeight, numTokens]);
    }
  });
});
