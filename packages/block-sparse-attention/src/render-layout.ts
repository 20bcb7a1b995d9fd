import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { type BlockSparseLayout, expectBelow, layoutRow } from './layout.ts';

/** Which part of a layout to draw, and how. Give either `queryBlock` or `head`. */
export interface RenderLayoutOptions {
  readonly format: 'text' | 'svg';
  /** One row per head: what this query block sees. The picture of the paper. */
  readonly queryBlock?: number | undefined;
  /** One row per query block: what it sees under this head. */
  readonly head?: number | undefined;
}

type Cell = 'local' | 'vertical' | 'skipped' | 'future';

/**
 * Draws which key blocks are seen, as text for a terminal or as an SVG. With `queryBlock` a row is a head, as in the
 * figure of the Phi-3 report; with `head` a row is a query block.
 *
 * In text `L` is a local block, `V` a vertical one, `.` one that is skipped; the future is blank.
 *
 * Source: Phi-3 technical report, arXiv:2404.14219, figure of block-sparse attention.
 *
 * @throws ArgumentError `ARGUMENT` for another format, both or neither of `queryBlock` and `head`, or one that the layout
 * does not have
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pattern = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 2, verticalStride: 3, numHeads: 3 });
 * const layout = createBlockSparseLayout(pattern, { numHeads: 3, length: 9 * 64 });
 * const picture = renderLayout(layout, { format: 'text', queryBlock: 8 });
 * picture.split('\n')[1]; // => 'head 0  . . V . . V . L L'
 */
export function renderLayout(layout: BlockSparseLayout, options: RenderLayoutOptions): string {
  const name = 'renderLayout';
  expectKnownOptions(name, options, ['format', 'queryBlock', 'head']);
  const { format, queryBlock, head } = options;
  if (format !== 'text' && format !== 'svg') {
    throw new ArgumentError({ function: name, argument: 'options.format', expected: "'text' or 'svg'", got: format });
  }
  if ((queryBlock === undefined) === (head === undefined)) {
    throw new ArgumentError({
      function: name,
      argument: 'options.queryBlock',
      expected: 'either queryBlock or head',
      got: queryBlock === undefined ? 'neither' : 'both',
    });
  }
  const rows: { label: string; cells: Cell[] }[] = [];
  if (queryBlock !== undefined) {
    expectBelow(name, 'options.queryBlock', queryBlock, layout.numBlocks);
    for (let h = 0; h < layout.numHeads; h++) {
      rows.push({ label: `head ${h}`, cells: cellsOf(layout, h, queryBlock, queryBlock + 1) });
    }
  } else {
    expectBelow(name, 'options.head', head!, layout.numHeads);
    for (let q = 0; q < layout.numBlocks; q++) {
      rows.push({ label: `query ${q}`, cells: cellsOf(layout, head!, q, layout.numBlocks) });
    }
  }
  const title =
    queryBlock !== undefined ? `Key blocks that query block ${queryBlock} sees` : `Key blocks seen under head ${head}`;
  return format === 'text' ? drawText(rows) : drawSvg(rows, title);
}

function cellsOf(layout: BlockSparseLayout, head: number, queryBlock: number, numColumns: number): Cell[] {
  const cells = Array.from({ length: numColumns }, (_, block): Cell => (block <= queryBlock ? 'skipped' : 'future'));
  for (const block of layoutRow(layout, head, queryBlock)) {
    cells[block] = queryBlock - block < layout.numLocalBlocks ? 'local' : 'vertical';
  }
  return cells;
}

function drawText(rows: { label: string; cells: Cell[] }[]): string {
  const letters: Record<Cell, string> = { local: 'L', vertical: 'V', skipped: '.', future: ' ' };
  const labelWidth = Math.max(...rows.map(({ label }) => label.length));
  const numColumns = rows[0]?.cells.length ?? 0;
  const columnWidth = `${numColumns - 1}`.length;
  const line = (label: string, cells: string[]) =>
    `${label.padEnd(labelWidth)}  ${cells.map((cell) => cell.padStart(columnWidth)).join(' ')}`.trimEnd();
  const header = line(
    'key',
    Array.from({ length: numColumns }, (_, block) => `${block}`),
  );
  return [
    header,
    ...rows.map(({ label, cells }) =>
      line(
        label,
        cells.map((cell) => letters[cell]),
      ),
    ),
  ].join('\n');
}

function drawSvg(rows: { label: string; cells: Cell[] }[], title: string): string {
  const side = 18;
  const labelWidth = 72;
  const numColumns = rows[0]?.cells.length ?? 0;
  const width = labelWidth + numColumns * side + 4;
  const height = (rows.length + 1) * side + 4;
  // The report's colours: local blocks blue, vertical ones orange, skipped ones grey.
  const colours: Record<Cell, string> = { local: '#4a7ebb', vertical: '#ed8b2d', skipped: '#d9d9d9', future: 'none' };
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
      `font-family="sans-serif" font-size="11" role="img"><title>${title}</title>`,
  ];
  for (let block = 0; block < numColumns; block++) {
    parts.push(`<text x="${labelWidth + (block + 0.5) * side}" y="${side - 5}" text-anchor="middle">${block}</text>`);
  }
  for (const [row, { label, cells }] of rows.entries()) {
    const y = (row + 1) * side;
    parts.push(`<text x="${labelWidth - 6}" y="${y + side - 5}" text-anchor="end">${label}</text>`);
    for (const [block, cell] of cells.entries()) {
      if (cell === 'future') continue;
      const x = labelWidth + block * side;
      parts.push(
        `<rect class="${cell}" x="${x}" y="${y}" width="${side}" height="${side}" fill="${colours[cell]}" stroke="#fff"/>`,
      );
    }
  }
  parts.push('</svg>');
  return parts.join('\n');
}
