// Draws reports of run.mjs as a bar chart: node chart.mjs OUT.svg REPORT.json …
import { readFileSync, writeFileSync } from 'node:fs';
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const [out, ...files] = process.argv.slice(2);
if (!out || files.length === 0) {
  console.error('node chart.mjs OUT.svg REPORT.json …');
  process.exit(2);
}
const reports = files.map((file) => JSON.parse(readFileSync(file, 'utf8')));
const bars = reports.flatMap(({ file, context, promptTokens, engines }) =>
  engines.flatMap(({ engine, prefillTokensPerSecond, decodeTokensPerSecond }) => [
    { panel: `${file}: prompt of ${promptTokens}`, engine, rate: prefillTokensPerSecond },
    { panel: `${file}: decode at ${context}`, engine, rate: decodeTokensPerSecond },
  ]),
);
const panels = [...new Set(bars.map(({ panel }) => panel))];
const { document } = parseHTML('<html><body></body></html>');
const rowHeight = 22;
let top = 0;
// One plot a panel, because the rates of one say nothing about those of another.
const drawn = panels.map((panel) => {
  const data = bars.filter((bar) => bar.panel === panel);
  const height = 58 + rowHeight * data.length;
  const plot = Plot.plot({
    document,
    width: 760,
    height,
    marginLeft: 230,
    marginRight: 60,
    marginTop: 34,
    marginBottom: 24,
    style: { background: 'white', color: '#1b1b1b' },
    x: { axis: null, domain: [0, Math.max(...data.map(({ rate }) => rate))] },
    y: { label: null, domain: data.map(({ engine }) => engine), padding: 0.25 },
    marks: [
      Plot.barX(data, {
        x: 'rate',
        y: 'engine',
        fill: ({ engine }) => (engine.startsWith('phiblocks') ? '#2f6fab' : '#b8bec6'),
      }),
      Plot.text(data, { x: 'rate', y: 'engine', text: ({ rate }) => rate.toPrecision(3), dx: 4, textAnchor: 'start' }),
      Plot.text([`${panel} tokens, tokens per second`], {
        frameAnchor: 'top-left',
        dx: -220,
        dy: -24,
        fontWeight: 'bold',
        fontSize: 13,
        lineAnchor: 'top',
      }),
    ],
  });
  plot.setAttribute('y', String(top));
  top += height;
  return plot.outerHTML;
});
writeFileSync(
  out,
  `<svg xmlns="http://www.w3.org/2000/svg" width="760" height="${top}" viewBox="0 0 760 ${top}" font-family="system-ui, sans-serif" role="img"><title>Tokens per second of each engine</title><rect width="100%" height="100%" fill="white"/>${drawn.join('')}</svg>\n`,
);
