import { describe, expect, it } from 'vitest';
import { createBlockSparseLayout } from './layout.ts';
import { createBlockSparsePattern } from './pattern.ts';
import { renderLayout } from './render-layout.ts';

const pattern = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 2, verticalStride: 3, numHeads: 3 });
const layout = createBlockSparseLayout(pattern, { numHeads: 3, length: 9 * 64 });

describe('renderLayout', () => {
  it("draws the paper's figure as text: query block 8, 2 local blocks, stride 3", () => {
    expect(renderLayout(layout, { format: 'text', queryBlock: 8 })).toBe(
      [
        'key     0 1 2 3 4 5 6 7 8',
        'head 0  . . V . . V . L L',
        'head 1  . V . . V . . L L',
        'head 2  V . . V . . V L L',
      ].join('\n'),
    );
  });

  it('draws one head over all query blocks', () => {
    const short = createBlockSparseLayout(pattern, { numHeads: 3, length: 5 * 64 });
    expect(renderLayout(short, { format: 'text', head: 1 })).toBe(
      [
        'key      0 1 2 3 4',
        'query 0  L',
        'query 1  L L',
        'query 2  . L L',
        'query 3  . V L L',
        'query 4  . V . L L',
      ].join('\n'),
    );
  });

  it('keeps columns apart with numbers of two digits', () => {
    const long = createBlockSparseLayout(pattern, { numHeads: 1, length: 11 * 64 });
    const [header, row] = renderLayout(long, { format: 'text', queryBlock: 10 }).split('\n') as [string, string];
    expect(header.length).toBe(row.length);
    expect(header).toMatch(/ 9 10$/);
  });

  it('draws an SVG with the same cells', () => {
    const svg = renderLayout(layout, { format: 'svg', queryBlock: 8 });
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" .*<title>Key blocks that query block 8 sees<\/title>/,
    );
    expect(svg).toMatch(/<\/svg>$/);
    const count = (kind: string) => svg.split(`class="${kind}"`).length - 1;
    expect([count('local'), count('vertical'), count('skipped'), count('future')]).toEqual([6, 7, 14, 0]);
    // Every element that opens also closes.
    expect(svg.match(/<(svg|title|text)\b/g)!.length).toBe(svg.match(/<\/(svg|title|text)>/g)!.length);
    const triangle = renderLayout(layout, { format: 'svg', head: 0 });
    expect(triangle.match(/<rect /g)).toHaveLength((9 * 10) / 2);
    expect(triangle).toContain('<title>Key blocks seen under head 0</title>');
  });

  it('rejects what it cannot draw', () => {
    expect(() => renderLayout(layout, { format: 'png' as never, head: 0 })).toThrow(
      "ARGUMENT renderLayout(options.format): expected 'text' or 'svg', got 'png'",
    );
    expect(() => renderLayout(layout, { format: 'svg' })).toThrow(/either queryBlock or head, got 'neither'/);
    expect(() => renderLayout(layout, { format: 'svg', head: 0, queryBlock: 0 })).toThrow(/got 'both'/);
    expect(() => renderLayout(layout, { format: 'svg', head: 3 })).toThrow(/^ARGUMENT renderLayout\(options.head\)/);
    expect(() => renderLayout(layout, { format: 'svg', queryBlock: 9 })).toThrow(/^ARGUMENT.*options.queryBlock/);
    expect(() => renderLayout(layout, { format: 'svg', heads: 1 } as never)).toThrow(/^OPTION_UNKNOWN/);
  });
});
