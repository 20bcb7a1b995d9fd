import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { SuiteResult } from '../result.ts';

// Observable Plot draws into a document; linkedom is one without a browser. What comes out is plain SVG: nothing has to run
// where the report is read. Colours are CSS variables, so that the page can be dark or light.

/** A picture with what it says in words. */
export interface Figure {
  readonly title: string;
  readonly caption: string;
  readonly svg: string;
}

type Options = Parameters<typeof Plot.plot>[0];

const green = 'var(--good)';
const red = 'var(--bad)';
const blue = 'var(--accent)';

/** Plots of everything that was measured, in the order in which a person asks. */
export function drawFigures(suites: readonly SuiteResult[]): Figure[] {
  const figures = suites.flatMap(({ figures }) => (figures ? [figures] : []));
  const blocks = figures.flatMap((figure) => figure.blocks ?? []);
  const positions = figures.flatMap((figure) => figure.positions ?? []);
  const differences = figures.flatMap((figure) => figure.logitDifferences ?? []);
  const formats = figures.flatMap((figure) => figure.formats ?? []);
  const boundary = figures.find((figure) => figure.boundary !== undefined)?.boundary;
  const out: Figure[] = [];

  if (blocks.length > 0) {
    const layers = [...new Set(blocks.map(({ layer }) => layer))];
    const names = [...new Set(blocks.map(({ block }) => block))];
    const cells = blocks.map((figure) => ({ ...figure, level: Math.log10(Math.max(figure.share, 1e-3)) }));
    out.push({
      title: 'Error by layer and block',
      caption:
        'Largest error of each block as a share of its budget: pale is far inside, full colour is all of it, the colour of a failure is beyond. Every block was fed what the definition gives for the block before.',
      svg: draw({
        width: Math.max(440, 185 + (layers.length > 20 ? 22 : 44) * layers.length),
        height: 70 + 22 * names.length,
        marginLeft: 175,
        marginTop: 10,
        marginBottom: 50,
        x: {
          domain: layers,
          label: 'layer',
          tickSize: 0,
          ...(layers.length > 24 ? { ticks: layers.filter((_, i) => i % 4 === 0) } : {}),
        },
        y: { domain: names, label: null, tickSize: 0 },
        marks: [
          Plot.cell(cells, {
            x: 'layer',
            y: 'block',
            fill: (d: { share: number }) => (d.share > 1 ? red : green),
            fillOpacity: (d: { share: number }) => (d.share > 1 ? 1 : 0.12 + 0.7 * d.share),
            inset: 1,
            title: (d: { layer: string; block: string; share: number }) =>
              `${d.layer} ${d.block}: ${(100 * d.share).toPrecision(2)} % of its budget`,
          }),
        ],
      }),
    });
  }

  if (positions.length > 0) {
    const shown = positions.filter(({ relative }) => relative > 0);
    const farthest = Math.max(...positions.map(({ position }) => position));
    out.push({
      title: 'Error by position',
      caption:
        boundary === undefined
          ? 'Largest error at each position that was checked, relative to the size of the block, over all layers.'
          : `Largest error at each position that was checked, relative to the size of the block, over all layers. The line marks the LongRoPE boundary at ${boundary}.`,
      svg: draw({
        width: 720,
        height: 300,
        marginTop: 30,
        marginLeft: 60,
        marginBottom: 45,
        x: { label: 'position', domain: [-1, farthest + 1] },
        y: { type: 'log', label: 'error / size of the block', grid: true, tickFormat: '.0e', ticks: 5 },
        symbol: { legend: false },
        marks: [
          ...(boundary !== undefined && boundary <= farthest + 1
            ? [Plot.ruleX([boundary], { stroke: red, strokeDasharray: '4 3' })]
            : []),
          Plot.dot(shown, {
            x: 'position',
            y: 'relative',
            stroke: (d: { block: string }) => colourOf(d.block),
            symbol: 'block',
            r: 3.5,
            title: (d: { position: number; block: string; relative: number }) =>
              `${d.block} at ${d.position}: ${d.relative.toExponential(1)}`,
          }),
        ],
      }),
    });
  }

  const shownDifferences = differences.filter((set) => set.differences.some((value) => value !== 0)).slice(0, 12);
  if (shownDifferences.length > 0) {
    const values = shownDifferences.flatMap(({ label, differences: all }) =>
      all.filter(Number.isFinite).map((difference) => ({ label, difference })),
    );
    const magnitudes = values.map(({ label, difference }) => ({
      label,
      size: Math.log10(Math.max(Math.abs(difference), 1e-9)),
    }));
    const labels = shownDifferences.map(({ label }) => label);
    out.push({
      title: 'Differences of logits',
      caption:
        'How often a logit differs by how much, on a logarithmic scale; equal ones stand at 1e-9. One row for each comparison: expected tensors, backends, weight formats.',
      svg: draw({
        width: 720,
        height: 60 + 58 * labels.length,
        marginLeft: 180,
        marginBottom: 45,
        x: { label: 'absolute difference', tickFormat: (d: number) => `1e${d}`, ticks: 8 },
        y: { axis: null },
        fy: { domain: labels, label: null, axis: 'left' },
        marks: [
          Plot.rectY(
            magnitudes,
            // The facet belongs to the mark; the types of the transform leave it out.
            {
              ...Plot.binX<Plot.RectYOptions>(
                { y: 'proportion-facet' },
                { x: 'size', fill: blue, thresholds: 36, inset: 0.5 },
              ),
              fy: 'label',
            },
          ),
          Plot.ruleY([0], { stroke: 'currentColor', strokeOpacity: 0.3 }),
        ],
      }),
    });
  }

  if (formats.length > 0) {
    const shown = formats.map((format) => ({ ...format, divergence: Math.max(format.klDivergence, 1e-9) }));
    out.push({
      title: 'What a weight format costs',
      caption:
        'Kullback-Leibler divergence from full precision against bits per weight: down and to the left is better.',
      svg: draw({
        width: 720,
        height: 340,
        marginTop: 35,
        marginLeft: 60,
        marginRight: 50,
        marginBottom: 45,
        x: { label: 'bits per weight', nice: true },
        y: { type: 'log', label: 'KL divergence (nats)', grid: true, tickFormat: '.0e', ticks: 5 },
        marks: [
          Plot.dot(shown, { x: 'bitsPerWeight', y: 'divergence', fill: blue, r: 4 }),
          // Neighbours of the same width would lie on each other.
          ...[true, false].map((isBelow) =>
            Plot.text(
              shown.filter(({ format }) => /1$|K$/.test(format) === isBelow),
              {
                x: 'bitsPerWeight',
                y: 'divergence',
                text: 'format',
                dx: 8,
                dy: isBelow ? 7 : -7,
                textAnchor: 'start',
                fill: 'currentColor',
              },
            ),
          ),
        ],
      }),
    });
  }
  return out;
}

/** Colours of the blocks that are shown by position; shapes tell them apart too. */
export const positionBlocks: ReadonlyMap<string, string> = new Map([
  ['queries', 'var(--series-1)'],
  ['keys', 'var(--series-2)'],
  ['attention', 'var(--series-3)'],
  ['hidden', 'var(--series-4)'],
]);

function colourOf(block: string): string {
  return positionBlocks.get(block) ?? blue;
}

function draw(options: Options): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const plot = Plot.plot({
    ...options,
    document,
    style: { background: 'transparent', color: 'inherit', fontFamily: 'inherit', fontSize: '12px' },
  });
  // Without a fixed size the picture takes the width of the page; the view box keeps its proportions.
  const svg = plot.tagName.toLowerCase() === 'svg' ? plot : plot.querySelector('svg')!;
  svg.setAttribute('role', 'img');
  return svg.outerHTML.replace(/<style>[\s\S]*?<\/style>/g, '');
}
