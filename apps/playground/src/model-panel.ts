import { type CheckpointPlace, createPhi3Worker, type Phi3Worker, type WorkerLanguageModel } from '@phiblocks/runtime';
import { isPhi3Error } from '@phiblocks/tensor';
import { type BackendChoiceName, backendLabels, backendNames, whyUnavailable } from './backends.ts';
import { byId, bytesInWords, make } from './dom.ts';
import { showError } from './error-in-words.ts';
import { memoryBudgetInBytes } from './memory-budget.ts';

/** Told of a new model, and with undefined that there is none any more; `isSame` where it is the last one loaded again. */
export type ModelListener = (model: WorkerLanguageModel | undefined, isSame: boolean) => void;

export interface ModelPanel {
  showMemory(): Promise<void>;
  /** Loads the same model again, in a new worker. */
  reload(): void;
}

/** Where a model comes from: the places by URL, dropped files, nano-mini; and which backend runs it. */
export function setUpModelPanel(onModel: ModelListener): ModelPanel {
  const drop = byId('drop', HTMLElement);
  const loadNano = byId('load-nano', HTMLButtonElement);
  const loading = byId('loading', HTMLElement);
  const progress = byId('load-progress', HTMLProgressElement);
  const label = byId('load-label', HTMLLabelElement);
  const errorBox = byId('load-error', HTMLElement);
  const status = byId('model-status', HTMLElement);
  const facts = byId('model-facts', HTMLElement);
  const warnings = byId('model-warnings', HTMLElement);
  const anySize = byId('any-size', HTMLInputElement);
  const budget = memoryBudgetInBytes();
  byId('budget-note', HTMLElement).textContent =
    `Otherwise weights of up to ${bytesInWords(budget)}: more may end the page on this device.`;

  let worker: Phi3Worker | undefined;
  let model: WorkerLanguageModel | undefined;
  let place: CheckpointPlace | undefined;
  let backend: BackendChoiceName = 'reference';
  let controller: AbortController | undefined;

  const ready = setUpBackends();
  setUpPlaces();

  /** One model at a time: the worker of the last one, with all its memory, ends when another is loaded. */
  async function load(from: CheckpointPlace, isSame = false): Promise<void> {
    controller?.abort();
    const own = new AbortController();
    controller = own;
    await ready;
    worker?.dispose();
    worker = undefined;
    model = undefined;
    place = from;
    onModel(undefined, isSame);
    showError(errorBox, undefined);
    facts.hidden = true;
    warnings.hidden = true;
    status.textContent = '';
    loading.hidden = false;
    progress.removeAttribute('value');
    label.textContent = `Opening the model for ${backendLabels[backend]}…`;
    try {
      const started = await createPhi3Worker({
        worker: new Worker(new URL('./phi3.worker.ts', import.meta.url), { type: 'module' }),
      });
      if (own.signal.aborted) {
        started.dispose();
        return;
      }
      worker = started;
      const loaded = await started.loadModel(from, {
        backend,
        ...(anySize.checked ? {} : { memoryBudgetInBytes: budget }),
        signal: own.signal,
        onProgress({ loadedBytes, totalBytes }) {
          progress.value = loadedBytes / totalBytes;
          label.textContent = `Loading: ${bytesInWords(loadedBytes)} of ${bytesInWords(totalBytes)}`;
        },
      });
      model = loaded;
      void started.lost.catch((error: unknown) => {
        if (model !== loaded) return;
        model = undefined;
        onModel(undefined, false);
        status.textContent = 'No model is loaded.';
        showError(errorBox, error);
      });
      await describe(loaded);
      onModel(loaded, isSame);
    } catch (error) {
      if (own !== controller) return;
      worker?.dispose();
      worker = undefined;
      status.textContent = own.signal.aborted ? 'Loading was cancelled.' : 'No model is loaded.';
      if (!own.signal.aborted) showError(errorBox, error);
      if (isPhi3Error(error) && error.code.startsWith('GPU_')) {
        status.textContent =
          'No model is loaded. The backends on gpu.js need a working adapter, and a page whose policy lets them build kernels; ' +
          'WebAssembly and the reference backend need neither.';
      }
    } finally {
      if (own === controller) loading.hidden = true;
    }
  }

  async function describe(loaded: WorkerLanguageModel): Promise<void> {
    const { config } = loaded;
    const report = await loaded.backendReport();
    const threads = report.threads === 1 ? '1 thread' : `${report.threads} threads`;
    status.textContent = `Loaded: ${loaded.name}`;
    facts.replaceChildren();
    fact('Class', `${config.modelType}, ${loaded.format}`);
    fact('Layers', String(config.numHiddenLayers));
    fact('Hidden size', config.hiddenSize.toLocaleString('en'));
    fact('Heads', `${config.numAttentionHeads} for queries, ${config.numKeyValueHeads} for keys and values`);
    fact('Vocabulary', config.vocabSize.toLocaleString('en'));
    fact('Context', `${config.maxPositionEmbeddings.toLocaleString('en')} tokens`);
    fact('Backend', `${report.backend}, ${report.acceleration}, ${threads}`);
    fact('Memory', '', 'memory');
    facts.hidden = false;
    const sentences = [...report.notes, ...loaded.warnings];
    warnings.replaceChildren(...sentences.map((sentence) => make('li', sentence)));
    warnings.hidden = sentences.length === 0;
    await showMemory();
  }

  function fact(name: string, value: string, id = ''): void {
    const group = make('div');
    const dd = make('dd', value);
    if (id !== '') dd.id = id;
    group.append(make('dt', name), dd);
    facts.append(group);
  }

  async function showMemory(): Promise<void> {
    const element = document.getElementById('memory');
    if (!model || !element) return;
    const { weightsInBytes, cachesInBytes, backendInBytes } = await model.memory();
    const held = backendInBytes === undefined ? '' : `; the backend holds ${bytesInWords(backendInBytes)}`;
    element.textContent = `weights ${bytesInWords(weightsInBytes)}, cache ${bytesInWords(cachesInBytes)}${held}`;
  }

  async function setUpBackends(): Promise<void> {
    const choices = byId('backend-choices', HTMLElement);
    const found = await Promise.all(backendNames.map(async (name) => ({ name, reason: await whyUnavailable(name) })));
    if (found.some(({ name, reason }) => name === 'wasm' && reason === undefined)) backend = 'wasm';
    for (const { name, reason } of found) {
      const choice = make('label');
      const input = make('input');
      Object.assign(input, { type: 'radio', name: 'backend', value: name, checked: name === backend });
      input.disabled = reason !== undefined;
      input.addEventListener('change', () => {
        backend = name;
        if (place) void load(place);
      });
      choice.append(input, make('span', backendLabels[name]));
      if (reason !== undefined) choice.append(make('small', `– not here: ${reason}`));
      choices.append(choice);
    }
  }

  function setUpPlaces(): void {
    byId('url-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void load({ url: byId('url', HTMLInputElement).value });
    });
    byId('cancel-load', HTMLButtonElement).addEventListener('click', () => controller?.abort());
    for (const id of ['files', 'folder']) {
      const input = byId(id, HTMLInputElement);
      input.addEventListener('change', () => {
        if (input.files && input.files.length > 0) void load({ files: [...input.files] });
        input.value = ''; // the same files may be chosen again
      });
    }
    for (const type of ['dragover', 'dragleave', 'drop']) {
      document.addEventListener(type, (event) => event.preventDefault());
    }
    drop.addEventListener('dragover', () => drop.classList.add('over'));
    for (const type of ['dragleave', 'drop']) drop.addEventListener(type, () => drop.classList.remove('over'));
    document.addEventListener('drop', async (event) => {
      const files = await droppedFiles(event.dataTransfer);
      if (files.length > 0) void load({ files });
    });
    const nanoUrl = __NANO_MINI_URL__;
    loadNano.disabled = nanoUrl === false;
    if (nanoUrl === false) {
      byId('nano-note', HTMLElement).textContent = 'nano-mini is not part of this build. Drop a model of your own.';
    } else {
      loadNano.addEventListener('click', () => void load({ url: new URL(nanoUrl, location.href).href }));
    }
  }

  return {
    showMemory,
    reload() {
      if (place) void load(place, true);
    },
  };
}

/** Dropped files; of a dropped folder the files that lie directly in it. */
async function droppedFiles(transfer: DataTransfer | null): Promise<File[]> {
  // Entries must be asked for before anything is awaited.
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry());
  const plain = [...(transfer?.files ?? [])];
  const files: File[] = [];
  for (const [index, entry] of entries.entries()) {
    if (entry?.isDirectory) files.push(...(await filesIn(entry as FileSystemDirectoryEntry)));
    else if (plain[index]) files.push(plain[index]);
  }
  return files.length > 0 ? files : plain;
}

async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  for (;;) {
    // A reader gives its entries in portions, and an empty one at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const entry of entries) {
      if (!entry.isFile) continue;
      files.push(await new Promise((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    }
  }
}
