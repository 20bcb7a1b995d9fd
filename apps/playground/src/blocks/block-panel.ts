import { backendLabels, backendNames } from '../backends.ts';
import { byId, make, row } from '../dom.ts';
import { blockCases } from './block-cases.ts';
import { type BlockResult, largestDifference } from './block-result.ts';

/** The block explorer. */
export function setUpBlockPanel(): void {
  const form = byId('block-form', HTMLFormElement);
  const select = byId('block', HTMLSelectElement);
  const button = byId('run-block', HTMLButtonElement);
  const about = byId('block-about', HTMLElement);
  const status = byId('block-status', HTMLElement);
  const table = byId('block-results', HTMLTableElement);
  const body = table.tBodies[0]!;
  for (const [index, block] of blockCases.entries()) {
    const option = make('option', block.name);
    option.value = String(index);
    select.append(option);
  }
  const describe = (): void => {
    about.textContent = blockCases[Number(select.value)]!.about;
    table.hidden = true;
    status.textContent = '';
  };
  select.addEventListener('change', describe);
  describe();

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    button.disabled = true;
    select.disabled = true;
    body.replaceChildren();
    table.hidden = false;
    status.textContent = `Running ${blockCases[Number(select.value)]!.name}…`;
    const worker = new Worker(new URL('./blocks.worker.ts', import.meta.url), { type: 'module' });
    let reference: Float32Array | undefined;
    const finish = (text: string): void => {
      worker.terminate();
      button.disabled = false;
      select.disabled = false;
      status.textContent = text;
    };
    worker.addEventListener('message', ({ data }: MessageEvent<BlockResult>) => {
      if (data.backend === 'reference' && 'values' in data) reference = data.values;
      body.append(rowOf(data, reference));
      if (body.rows.length === backendNames.length) finish('Done.');
    });
    worker.addEventListener('error', () => finish('The worker that runs blocks could not be started.'));
    worker.postMessage(Number(select.value));
  });
}

function rowOf(result: BlockResult, reference: Float32Array | undefined): HTMLTableRowElement {
  const name = make('td', backendLabels[result.backend]);
  name.append(make('small', 'failure' in result ? `Not available: ${result.failure}` : result.acceleration, 'note'));
  if ('failure' in result) return row(name, '–', '–');
  const difference = reference ? largestDifference(result.values, reference) : Number.NaN;
  const shown = result.backend === 'reference' ? 'the judge' : difference === 0 ? '0' : difference.toExponential(2);
  return row(name, shown, `${result.elapsedMs.toFixed(1)} ms`);
}
