import type { WasmBackendOptions } from '@phiblocks/backend-wasm';
import { ArgumentError, type Backend, type BackendReport, expectKnownOptions, isPhi3Error } from '@phiblocks/tensor';
import { type PlannedModel, planMemory } from './plan-memory.ts';
import { createReferenceBackend } from './reference-backend.ts';

/**
 * A backend by name. `auto` is WebAssembly where it works and the reference backend elsewhere; `wasm` insists on it; `webgpu` and
 * `webgl2` are `@phiblocks/backend-gpu` in that mode, which needs the optional package gpu.js; `reference` is plain TypeScript on
 * one thread, the judge of all others.
 */
export type BackendName = 'auto' | 'wasm' | 'webgpu' | 'webgl2' | 'reference';

export interface BackendChoice {
  /** A name, or a backend of the caller's, which the caller disposes of. One that is chosen by name goes with the model. */
  readonly backend?: BackendName | Backend | undefined;
  /** Threads of the backend on WebAssembly, this one included. Default: as many as the machine runs at once, at most 8. */
  readonly threads?: number | undefined;
  /** For the backend on WebAssembly, what else `createWasmBackend` takes: `activations`, `kvCache`, `simd`, `memories`, `createWorker`. */
  readonly backendOptions?: Omit<WasmBackendOptions, 'threads'> | undefined;
}

/** What really runs, and how it came to be chosen. */
export interface ChosenBackendReport extends BackendReport {
  /** `auto`: picked for the caller; `named`: asked for by name; `given`: a value of the caller's. */
  readonly chosenBy: 'auto' | 'named' | 'given';
}

export interface ChosenBackend {
  readonly backend: Backend;
  report(): ChosenBackendReport;
  /** Disposes of a backend that was made here, and leaves the caller's alone. */
  dispose(): Promise<void>;
}

/**
 * Makes the backend that was chosen. All but the reference backend are behind `import()`, so that a bundle without them stays
 * small.
 * Where `auto` cannot have WebAssembly, the report's notes say why: nothing is swapped in silence.
 *
 * @param model - what it will run: a model above 4 GB gets as many WebAssembly memories as it needs, unless `backendOptions`
 * say how many
 * @throws ArgumentError `ARGUMENT` for an unknown name, and for threads or options that the chosen backend would not use
 * @throws Phi3Error with `wasm`: the codes of `createWasmBackend`; with `webgpu` and `webgl2`: those of `createGpuBackend`
 * @example
 * const chosen = await chooseBackend({ backend: 'reference' });
 * chosen.report().backend; // => 'reference'
 * chosen.report().chosenBy; // => 'named'
 */
export async function chooseBackend(choice: BackendChoice, model?: PlannedModel): Promise<ChosenBackend> {
  expectKnownOptions('chooseBackend', choice, ['backend', 'threads', 'backendOptions']);
  const { backend = 'reference', threads, backendOptions } = choice;
  if (typeof backend !== 'string') {
    expectUnused(choice, 'a backend that is given as a value has its own');
    return { backend, report: () => ({ ...backend.report(), chosenBy: 'given' }), dispose: async () => {} };
  }
  if (backend === 'reference') {
    expectUnused(choice, 'the reference backend has one thread and no options');
    return own(createReferenceBackend(), 'named');
  }
  if (backend === 'webgpu' || backend === 'webgl2') {
    expectUnused(choice, 'the backend on gpu.js has no threads, and options only where it is given as a value');
    const { createGpuBackend } = await import('@phiblocks/backend-gpu');
    return own(await createGpuBackend({ mode: backend }), 'named');
  }
  if (backend !== 'wasm' && backend !== 'auto') {
    throw argumentError('backend', 'auto, wasm, webgpu, webgl2, reference or a backend', backend);
  }
  const chosenBy = backend === 'auto' ? 'auto' : 'named';
  try {
    const { createWasmBackend } = await import('@phiblocks/backend-wasm');
    const plan =
      model && backendOptions?.memories === undefined && backendOptions?.plan === undefined
        ? planMemory(model, backendOptions?.kvCache)
        : undefined;
    return own(await createWasmBackend({ ...(plan && { plan }), ...backendOptions, threads }), chosenBy);
  } catch (error) {
    const isCallersFault = isPhi3Error(error, 'ARGUMENT') || isPhi3Error(error, 'OPTION_UNKNOWN');
    if (backend === 'wasm' || isCallersFault) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const notes = [`The reference backend runs, on one thread, because the one on WebAssembly cannot: ${reason}`];
    const ignored = Object.keys(backendOptions ?? {});
    if (ignored.length > 0) notes.push(`It has no ${ignored.join(', ')}: everything is float32 there.`);
    return own(createReferenceBackend(), 'auto', notes);
  }
}

function own(
  backend: Backend,
  chosenBy: ChosenBackendReport['chosenBy'],
  notes: readonly string[] = [],
): ChosenBackend {
  return {
    backend,
    report() {
      const report = backend.report();
      return { ...report, notes: [...notes, ...report.notes], chosenBy };
    },
    dispose: () => backend.dispose(),
  };
}

/** An option that would be ignored is an error. One thread is what the reference backend has. */
function expectUnused({ backend, threads, backendOptions }: BackendChoice, expected: string): void {
  if (threads !== undefined && !(backend === 'reference' && threads === 1)) {
    throw argumentError('threads', `none: ${expected}`, threads);
  }
  if (backendOptions !== undefined) throw argumentError('backendOptions', `none: ${expected}`, backendOptions);
}

function argumentError(argument: string, expected: string, got: unknown): ArgumentError {
  return new ArgumentError({ function: 'createLanguageModel', argument, expected, got });
}
