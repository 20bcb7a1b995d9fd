import type { WorkerLanguageModel } from '@phiblocks/runtime';
import { byId, make } from './dom.ts';
import { showError } from './error-in-words.ts';

/** Rows and columns of the picture; a longer text would be a wall of specks. */
const mostTokens = 256;

/** What was read of one layer. */
interface Looked {
  readonly layer: number;
  readonly names: readonly string[];
  /** `[H, T, T]` */
  readonly weights: Float32Array;
}

export interface AttentionPanel {
  setModel(model: WorkerLanguageModel | undefined): void;
  /** The text that may be looked at, as ids; none while one is being written. */
  setText(ids: readonly number[]): void;
}

/** The attention of a chosen layer and head over the last text. */
export function setUpAttentionPanel(): AttentionPanel {
  const form = byId('attention-form', HTMLFormElement);
  const layers = byId('attention-layer', HTMLSelectElement);
  const heads = byId('attention-head', HTMLSelectElement);
  const look = byId('look', HTMLButtonElement);
  const status = byId('attention-status', HTMLElement);
  const errorBox = byId('attention-error', HTMLElement);
  const view = byId('attention-view', HTMLElement);
  const label = byId('attention-label', HTMLLabelElement);
  const slider = byId('attention-token', HTMLInputElement);
  const text = byId('attention-text', HTMLElement);
  const map = byId('attention-map', HTMLCanvasElement);

  let model: WorkerLanguageModel | undefined;
  let ids: readonly number[] = [];
  let looked: Looked | undefined;
  let isBusy = false;

  function showState(): void {
    const canLook = model !== undefined && ids.length > 0 && ids.length <= mostTokens;
    look.disabled = !canLook || isBusy;
    layers.disabled = !canLook || isBusy;
    heads.disabled = !canLook || isBusy;
    view.hidden = looked === undefined;
    if (isBusy) return;
    if (ids.length === 0) status.textContent = 'Write something first.';
    else if (ids.length > mostTokens) {
      status.textContent = `The text has ${ids.length} tokens; up to ${mostTokens} are shown.`;
    } else status.textContent = looked ? '' : `A text of ${ids.length} tokens.`;
  }

  async function read(): Promise<void> {
    if (!model || isBusy) return;
    const [asked, own, layer] = [ids, model, Number(layers.value)];
    isBusy = true;
    status.textContent = 'Running the text…';
    showError(errorBox, undefined);
    showState();
    try {
      const { data: weights } = await own.readAttention(asked, { layer });
      const names = await namesOf(own, asked);
      if (asked === ids && own === model) looked = { layer, names, weights };
    } catch (error) {
      if (own === model) showError(errorBox, error);
    }
    isBusy = false;
    showState();
    if (!looked) return;
    slider.max = String(looked.names.length);
    slider.value = slider.max;
    draw();
  }

  function draw(): void {
    if (!looked) return;
    const { names, weights } = looked;
    const T = names.length;
    const ofHead = weights.subarray(Number(heads.value) * T * T, (Number(heads.value) + 1) * T * T);
    drawMap(map, ofHead, T, slider.valueAsNumber - 1);
    map.ariaLabel = `Attention of layer ${looked.layer}, head ${heads.value}, as a picture of ${T} by ${T}`;
    showRow(ofHead, T, slider.valueAsNumber - 1);
  }

  function showRow(ofHead: Float32Array, T: number, query: number): void {
    const row = ofHead.subarray(query * T, (query + 1) * T);
    const most = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 3);
    const words = most.filter((key) => row[key]! > 0).map((key) => `${shown(key)} ${(100 * row[key]!).toFixed(0)} %`);
    label.textContent = `Token ${query + 1} of ${T}, ${shown(query)}, looks at ${words.join(', ')}`;
    text.replaceChildren(
      ...looked!.names.map((name, key) => {
        const token = make('button', name, 'attended');
        token.type = 'button';
        token.title = `${(100 * row[key]!).toFixed(2)} %`;
        token.style.setProperty('--share', `${lifted(row[key]!) * 100}%`);
        token.classList.toggle('later', key > query);
        if (key === query) token.setAttribute('aria-current', 'true');
        token.addEventListener('click', () => {
          slider.value = String(key + 1);
          draw();
        });
        return token;
      }),
    );
  }

  const shown = (index: number): string => `“${looked!.names[index]}”`;

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void read();
  });
  layers.addEventListener('change', () => {
    if (looked) void read();
  });
  heads.addEventListener('change', draw);
  slider.addEventListener('input', draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  map.addEventListener('click', (event) => {
    if (!looked) return;
    const share = event.offsetY / map.clientHeight;
    slider.value = String(Math.min(looked.names.length, Math.floor(share * looked.names.length) + 1));
    draw();
  });
  showState();

  return {
    setModel(next) {
      model = next;
      if (next) {
        fill(layers, next.config.numHiddenLayers);
        fill(heads, next.config.numAttentionHeads);
      }
      this.setText([]);
    },
    setText(next) {
      ids = next;
      looked = undefined;
      showError(errorBox, undefined);
      showState();
    },
  };
}

function fill(select: HTMLSelectElement, count: number): void {
  select.replaceChildren(
    ...Array.from({ length: count }, (_, index) => {
      const option = make('option', String(index));
      option.value = String(index);
      return option;
    }),
  );
}

async function namesOf(model: WorkerLanguageModel, ids: readonly number[]): Promise<string[]> {
  if (!model.hasTokenizer) return ids.map((id) => `#${id}`);
  const names = await model.tokens(ids);
  // SentencePiece writes a space as ▁.
  return names.map((name, index) => name?.replaceAll('▁', ' ') ?? `#${ids[index]}`);
}

/** Most weights are small: their square roots tell them apart. */
const lifted = (weight: number): number => Math.sqrt(weight);

/** One square per pair of tokens; the row of the chosen token is framed. */
function drawMap(canvas: HTMLCanvasElement, weights: Float32Array, T: number, query: number): void {
  const cell = Math.max(1, Math.floor(512 / T));
  canvas.width = T * cell;
  canvas.height = T * cell;
  const context = canvas.getContext('2d')!;
  const style = getComputedStyle(canvas);
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = style.color;
  for (let row = 0; row < T; row++) {
    for (let column = 0; column <= row; column++) {
      context.globalAlpha = lifted(weights[row * T + column]!);
      context.fillRect(column * cell, row * cell, cell, cell);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = style.borderColor;
  context.strokeRect(0.5, query * cell + 0.5, canvas.width - 1, Math.max(1, cell - 1));
}
