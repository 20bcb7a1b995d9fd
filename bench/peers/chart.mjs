// Draws reports of run.mjs as bar charts, one picture for prompts and one for decoding: node chart.mjs FOLDER REPORT.json …
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [folder, ...files] = process.argv.slice(2);
if (!folder || files.length === 0) {
  console.error('node chart.mjs FOLDER REPORT.json …');
  process.exit(2);
}

// Narrow, so that a phone shows a picture as large as it is, with names above bars for the same reason. On white: the site turns
// the lightness of pictures round in the dark.
const width = 370;
const rowHeight = 36;
const barsTop = 58;
const valueWidth = 56;
const ownColor = '#2f6fab';
const peerColor = '#87919f';

const escapeText = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const inWords = (number) => number.toLocaleString('en-US');

/** One chart: the rates of one measurement, because those of another say nothing about it. */
function drawChart(title, subtitle, bars) {
  const height = barsTop + rowHeight * bars.length;
  const largest = Math.max(...bars.map(({ rate }) => rate));
  const rows = bars.map(({ engine, rate }, index) => {
    const y = barsTop + rowHeight * index;
    const length = ((width - valueWidth) * rate) / largest;
    const color = engine.startsWith('phiblocks') ? ownColor : peerColor;
    return [
      `<text x="0" y="${y + 10}">${escapeText(engine)}</text>`,
      `<rect x="0" y="${y + 15}" width="${length.toFixed(1)}" height="13" rx="2" fill="${color}"/>`,
      `<text x="${(length + 6).toFixed(1)}" y="${y + 26}" font-weight="600">${rate.toFixed(1)}</text>`,
    ].join('');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Inter, system-ui, sans-serif" font-size="13" fill="#24292f" role="img">`,
    `<title>${escapeText(title)}, ${escapeText(subtitle)}</title>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text x="0" y="18" font-size="15" font-weight="600">${escapeText(title)}</text>`,
    `<text x="0" y="38" fill="#57606a">${escapeText(subtitle)}</text>`,
    ...rows,
    '</svg>\n',
  ].join('\n');
}

mkdirSync(folder, { recursive: true });
for (const path of files) {
  const { file, context, promptTokens, engines } = JSON.parse(readFileSync(path, 'utf8'));
  const subtitle = `${file}, tokens per second`;
  const barsOf = (key) => engines.map((engine) => ({ engine: engine.engine, rate: engine[key] }));
  const charts = [
    ['prompt', `Prompt of ${inWords(promptTokens)} tokens`, barsOf('prefillTokensPerSecond')],
    ['decode', `Decoding at ${inWords(context)} tokens`, barsOf('decodeTokensPerSecond')],
  ];
  for (const [kind, title, bars] of charts) {
    const out = join(folder, `${basename(path, '.json')}-${kind}.svg`);
    writeFileSync(out, drawChart(title, subtitle, bars));
    console.log(out);
  }
}
