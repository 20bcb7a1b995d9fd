import { describeWithShared, loadGolden } from '@phiblocks/testing';
import { imageTokenCount } from '@phiblocks/vision';
import { describe, expect, it } from 'vitest';
import { imageTokens, stageShapes } from '../figures/clip-patches.ts';

describe('the figure of the patches', () => {
  it.each([
    [1, 1],
    [2, 3],
    [4, 1],
  ])('%d × %d crops: every token by the definition', (numRows, numColumns) => {
    const expected: unknown[] = [];
    const grid = (rows: number, columns: number, cropAt: (row: number, column: number) => number, part: string) => {
      for (let y = 0; y < 12 * rows; y++) {
        for (let x = 0; x < 12 * columns; x++) {
          const [row, column] = [2 * (y % 12), 2 * (x % 12)];
          const at = (down: number, right: number) => ({ row: row + down, column: column + right });
          const crop = cropAt(Math.floor(y / 12), Math.floor(x / 12));
          expected.push({ kind: 'patches', crop, patches: [at(0, 0), at(0, 1), at(1, 0), at(1, 1)] });
        }
        expected.push({ kind: 'newline', part });
      }
    };
    grid(numRows, numColumns, (row, column) => 1 + row * numColumns + column, 'crops');
    expected.push({ kind: 'separator' });
    grid(1, 1, () => 0, 'global');
    expect(imageTokens(numRows, numColumns)).toEqual(expected);
    expect(expected.length).toBe(imageTokenCount(336 * numRows, 336 * numColumns));
  });

  it('every patch of every crop is in one token', () => {
    const seen = imageTokens(2, 2).flatMap((token) =>
      token.kind === 'patches' ? token.patches.map(({ row, column }) => `${token.crop}/${row}/${column}`) : [],
    );
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBe(5 * 24 * 24);
  });

  it('shapes on the way, for one crop of Phi-3-vision', () => {
    expect(stageShapes(1, 1, 3072).map(({ shape }) => shape)).toEqual([
      [2, 3, 336, 336],
      [2, 576, 588],
      [2, 577, 1024],
      [2, 576, 1024],
      [313, 4096],
      [313, 3072],
    ]);
  });
});

describeWithShared('against pictures of the published code', 'goldens/phi3v-square-a', () => {
  it.each(['phi3v-square-a', 'phi3v-tall-a', 'phi3v-wide-a', 'phi3v-two-images-a'])('%s: as many tokens', (name) => {
    const images = loadGolden(name).description.images as { hd_height: number; hd_width: number; tokens: number }[];
    expect(images.length).toBeGreaterThan(0);
    for (const { hd_height, hd_width, tokens } of images) {
      expect(imageTokens(hd_height / 336, hd_width / 336).length).toBe(tokens);
      expect(stageShapes(hd_height / 336, hd_width / 336, 3072).at(-1)!.shape).toEqual([tokens, 3072]);
    }
  });
});
