import type { GeneratedToken, WorkerLanguageModel } from '@phiblocks/runtime';
import { byId, make, row } from './dom.ts';

/** The most probable next tokens of each step of the last text. */
export function setUpDistributionPanel() {
  const slider = byId('step', HTMLInputElement);
  const label = byId('step-label', HTMLLabelElement);
  const table = byId('distribution', HTMLTableElement);
  let model: WorkerLanguageModel | undefined;
  let steps: GeneratedToken[] = [];
  const names = new Map<number, string>();

  async function nameAll(ids: readonly number[]): Promise<void> {
    const unknown = ids.filter((id) => !names.has(id));
    if (unknown.length === 0 || !model?.hasTokenizer) return;
    const found = await model.tokens(unknown);
    for (const [index, id] of unknown.entries()) names.set(id, found[index] ?? '(no token)');
  }

  async function show(): Promise<void> {
    const number = slider.valueAsNumber;
    const step = steps[number - 1];
    const top = step?.topLogprobs;
    if (!step || !top) return;
    await nameAll([step.id, ...top.map(({ id }) => id)]);
    if (slider.valueAsNumber !== number || steps[number - 1] !== step) return; // it was moved meanwhile
    const nameOf = (id: number): string => names.get(id) ?? `#${id}`;
    label.textContent = `Step ${number} of ${steps.length}: chosen was ${nameOf(step.id)}`;
    table.tBodies[0]!.replaceChildren(
      ...top.map(({ id, logprob }) => {
        const probability = Math.exp(logprob);
        const share = make('td', `${(100 * probability).toFixed(probability < 0.001 ? 4 : 2)} %`);
        const meter = make('meter');
        Object.assign(meter, { min: 0, max: 1, value: probability });
        meter.setAttribute('aria-hidden', 'true');
        share.append(meter);
        const line = row(make('td', nameOf(id), 'token'), String(id), share);
        line.classList.toggle('chosen', id === step.id);
        return line;
      }),
    );
    table.hidden = false;
  }

  slider.addEventListener('input', () => void show());
  return {
    setModel(next: WorkerLanguageModel | undefined): void {
      model = next;
      names.clear();
      if (next) this.clear();
    },
    clear(): void {
      steps = [];
      slider.disabled = true;
      table.hidden = true;
      label.textContent = 'Write something first.';
    },
    push(token: GeneratedToken): void {
      steps.push(token);
      slider.max = String(steps.length);
      slider.value = slider.max;
      slider.disabled = false;
      void show();
    },
  };
}
