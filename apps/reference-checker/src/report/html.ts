import { figure, number } from '../compare.ts';
import { counted } from '../counted.ts';
import type { BackendFigure, Check, FormatFigure, Report, SuiteResult } from '../result.ts';
import { duration } from '../terminal.ts';
import { drawFigures, positionBlocks } from './plots.ts';
import { style } from './style.ts';

/** More rows of one suite than these are folded away. */
const mostOpenRows = 12;

/**
 * The report as one HTML page: no script, no other file, dark or light as the reader has it. Names from files are escaped.
 *
 * @param report - of `check`
 */
export function htmlReport(report: Report): string {
  const { model, suites } = report;
  const figures = drawFigures(suites);
  const backends = suites.flatMap((suite) => suite.figures?.backends ?? []);
  const formats = suites.flatMap((suite) => suite.figures?.formats ?? []);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(model)}: phiblocks-check</title>
<style>${style}</style>
</head>
<body>
<header>
<p class="tool">phiblocks-check</p>
<h1>${escaped(model)}</h1>
<p class="outcome ${statusClass(report.status)}">${outcome(report)}</p>
<dl class="facts">
${fact('Model', report.description)}
${fact('Checked', `${report.startedAt.slice(0, 16).replace('T', ' ')} UTC, ${duration(report.elapsedMs)}`)}
${fact('Memory', `at most ${Math.round(report.peakMemoryInBytes / 2 ** 20)} MiB`)}
${fact('Machine', `Node ${report.environment.node}, ${report.environment.platform}, ${report.environment.threads} threads`)}
${fact('Fingerprint', report.fingerprint)}
</dl>
</header>
<main>
<section>
<h2>Suites</h2>
<table class="suites">
<thead><tr><th>Suite</th><th>Outcome</th><th>What it covered</th><th class="number">Checks</th></tr></thead>
<tbody>
${suites.map(suiteRow).join('\n')}
</tbody>
</table>
</section>
${failures(suites)}
${figures.map(({ title, caption, svg }) => `<section>\n<h2>${escaped(title)}</h2>\n<figure>\n<div class="plot">${svg}</div>\n${title === 'Error by position' ? legend() : ''}<figcaption>${escaped(caption)}</figcaption>\n</figure>\n</section>`).join('\n')}
${backends.length > 0 ? backendTable(backends) : ''}
${formats.length > 0 ? formatTable(formats) : ''}
<section>
<h2>Every check</h2>
${suites
  .filter(({ checks }) => checks.length > 0)
  .map(suiteDetails)
  .join('\n')}
</section>
</main>
</body>
</html>
`;
}

/** Text from files, as text. Control characters and those that turn the direction of writing are shown as such. */
export function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '�')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;')
  );
}

const statusClass = (status: Report['status'] | SuiteResult['status'] | Check['status']): string =>
  status === 'passed' ? 'good' : status === 'failed' ? 'bad' : 'none';

const statusText = (status: SuiteResult['status'] | Check['status']): string =>
  status === 'passed' ? '✓ holds' : status === 'failed' ? '✗ falls short' : '– not applicable';

function outcome({ status, suites }: Report): string {
  const first = suites.flatMap(({ checks }) => checks).find((check) => check.status === 'failed');
  if (status === 'failed') return `Falls short: <code>${escaped(first?.name ?? '')}</code>`;
  return status === 'passed' ? 'All that was checked holds' : 'Nothing could be checked';
}

const fact = (name: string, value: string): string => `<div><dt>${name}</dt><dd>${escaped(value)}</dd></div>`;

function suiteRow({ suite, status, reason, checks }: SuiteResult): string {
  return `<tr><th scope="row">${suite}</th><td class="status ${statusClass(status)}">${statusText(status)}</td><td>${escaped(reason)}</td><td class="number">${checks.length || ''}</td></tr>`;
}

function failures(suites: readonly SuiteResult[]): string {
  const failed = suites.flatMap(({ suite, checks }) =>
    checks.filter(({ status }) => status === 'failed').map((check) => ({ suite, check })),
  );
  if (failed.length === 0) return '';
  const items = failed
    .slice(0, 20)
    .map(
      ({ suite, check }) =>
        `<li><strong><code>${escaped(check.name)}</code></strong> <small>${suite}</small><br>${escaped(check.detail)}</li>`,
    );
  const more = failed.length > 20 ? `<p>… and ${failed.length - 20} more.</p>` : '';
  return `<section class="failures">\n<h2>What falls short</h2>\n<p>In the order of computation: look at the first.</p>\n<ol>${items.join('\n')}</ol>${more}\n</section>`;
}

function legend(): string {
  const items = [...positionBlocks].map(
    ([block, colour]) => `<li><span style="background:${colour}"></span>${block}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>\n`;
}

function backendTable(backends: readonly BackendFigure[]): string {
  const rows = backends.map(
    ({ backend, acceleration, threads, largestDifference, budget, klDivergence, top1Agreement, status, note }) =>
      `<tr><th scope="row">${backend} ${acceleration}</th><td class="number">${threads}</td><td class="number">${figure(largestDifference)}</td><td class="number">${figure(budget)}</td><td class="number">${figure(klDivergence)}</td><td class="number">${(100 * top1Agreement).toFixed(1)} %</td><td class="status ${statusClass(status)}">${statusText(status)}${note ? `<br>${escaped(note)}` : ''}</td></tr>`,
  );
  return `<section>
<h2>Backends</h2>
<div class="scroll"><table>
<thead><tr><th>Backend</th><th class="number">Threads</th><th class="number">Largest difference</th><th class="number">Budget</th><th class="number">KL divergence</th><th class="number">Top-1</th><th>Outcome</th></tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table></div>
<p>Logits of each against the reference backend.</p>
</section>`;
}

function formatTable(formats: readonly FormatFigure[]): string {
  const rows = formats.map(
    ({ format, bitsPerWeight, klDivergence, top1Agreement, perplexity }) =>
      `<tr><th scope="row">${format}</th><td class="number">${bitsPerWeight.toFixed(2)}</td><td class="number">${figure(klDivergence)}</td><td class="number">${(100 * top1Agreement).toFixed(1)} %</td><td class="number">${number(Number(perplexity.toPrecision(5)))}</td></tr>`,
  );
  const reference = formats[0]!.referencePerplexity;
  return `<section>
<h2>Weight formats</h2>
<div class="scroll"><table>
<thead><tr><th>Format</th><th class="number">Bits per weight</th><th class="number">KL divergence</th><th class="number">Top-1</th><th class="number">Perplexity</th></tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table></div>
<p>Perplexity in full precision: ${number(Number(reference.toPrecision(5)))}.</p>
</section>`;
}

function suiteDetails({ suite, checks, status, elapsedMs }: SuiteResult): string {
  const rows = checks.map(
    (check) =>
      `<tr><th scope="row"><code>${escaped(check.name)}</code></th><td class="status ${statusClass(check.status)}">${check.status === 'passed' ? '✓' : '✗'}</td><td>${escaped(check.detail)}${check.error ? `<br><small>Budget: ${escaped(check.error.reason)}</small>` : ''}</td></tr>`,
  );
  const isOpen = status === 'failed' && checks.length <= mostOpenRows ? ' open' : '';
  return `<details${isOpen}><summary><span>${suite}</span> <small>${counted(checks.length, 'check')}, ${duration(elapsedMs)}</small></summary>
<table class="checks"><tbody>${rows.join('\n')}</tbody></table>
</details>`;
}
