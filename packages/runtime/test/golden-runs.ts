import type { GoldenCase } from '@phiblocks/testing';
import type { LanguageModel, LanguageModelOptions } from '../src/index.ts';
import { loadModel } from '../src/node.ts';
import { type InnerValue, testLanguageRuns } from './golden-cases.ts';

/** A backend that goldens run on. */
export interface TestedBackend {
  readonly name: string;
  readonly options: LanguageModelOptions;
  readonly toleranceFactor: number;
}

/** Plain TypeScript: the judge. */
export const reference: TestedBackend = { name: 'reference', options: { backend: 'reference' }, toleranceFactor: 1 };

/** WebAssembly with float32 activations. */
export const wasm = (threads: number): TestedBackend => ({
  name: `wasm, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  options: { backend: 'wasm', threads, backendOptions: { activations: 'f32' } },
  toleranceFactor: 2,
});

export const testedBackends: readonly TestedBackend[] = [reference, wasm(1), wasm(2)];

/** The tests of one language case on a backend, from its folder. */
export function testLanguageCase(
  golden: GoldenCase,
  innerValues: Readonly<Record<string, InnerValue>>,
  { options, toleranceFactor }: TestedBackend = reference,
): void {
  testLanguageRuns(golden, innerValues, toleranceFactor, () => loadGoldenModel(golden.path, options));
}

/** Loads a case; `await using` frees it. */
export async function loadGoldenModel(
  path: string,
  options: LanguageModelOptions = reference.options,
): Promise<LanguageModel & AsyncDisposable> {
  const model = await loadModel(path, options);
  return Object.assign(model, { [Symbol.asyncDispose]: () => model.dispose() });
}
