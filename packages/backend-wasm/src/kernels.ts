import { Phi3Error } from '@phiblocks/tensor';
import { relaxedKernels, simdKernels } from './generated/kernels.ts';
import { setV8Flag } from './host.ts';

/** What `assembly/index.ts` exports. */
export interface KernelExports {
  runJob(thread: number, threads: number): void;
  work(thread: number, threads: number, seen: number, spins: number): void;
  initialize(scratchStart: number, scratchSize: number): void;
  jobAddress(): number;
  announce(): void;
  generation(): number;
  awaitWorkers(workers: number, spins: number, mayBlock: number, milliseconds: number): number;
  progressOf(thread: number): number;
  takeWarning(): number;
  attentionScratchSize(headDim: number): number;
  chunkSizeInBytes(format: number, headDim: number): number;
  rowsSizeInBytes(layout: number, columns: number): number;
}

/** Which vector instructions the kernels use: relaxed SIMD, plain SIMD, or none. */
export type Simd = 'relaxed' | 'simd' | 'none';

export interface Kernels {
  readonly module: WebAssembly.Module;
  readonly simd: Simd;
  /** Why it is not the fastest flavour. */
  readonly notes: readonly string[];
}

/**
 * Compiles the fastest kernels that the engine can run, or the ones asked for.
 *
 * @param wanted - `auto`, or a flavour to insist on
 * @param shared - whether the memory will be shared between threads
 * @throws Phi3Error `UNSUPPORTED` when the engine cannot run what is wanted
 */
export async function compileKernels(wanted: 'auto' | Simd, shared: boolean): Promise<Kernels> {
  const notes: string[] = [];
  if (wanted === 'auto' || wanted === 'relaxed') {
    const relaxed = bytesOf(relaxedKernels, shared);
    if (validatesRelaxed(relaxed)) return { module: await WebAssembly.compile(relaxed), simd: 'relaxed', notes };
    if (wanted === 'relaxed') throw unsupported('relaxed SIMD');
    notes.push('The engine has no relaxed SIMD.');
  }
  if (wanted !== 'none') {
    const simd = bytesOf(simdKernels, shared);
    if (WebAssembly.validate(simd)) return { module: await WebAssembly.compile(simd), simd: 'simd', notes };
    if (wanted === 'simd') throw unsupported('SIMD');
    notes.push('The engine has no SIMD: the kernels without it are many times slower.');
  }
  // A file of its own, so that nobody loads it who has SIMD.
  const { scalarKernels } = await import('./generated/scalar-kernels.ts');
  const scalar = bytesOf(scalarKernels, shared);
  if (!WebAssembly.validate(scalar)) throw unsupported('threads, or any kernel of this package');
  return { module: await WebAssembly.compile(scalar), simd: 'none', notes };
}

function validatesRelaxed(bytes: Uint8Array<ArrayBuffer>): boolean {
  if (WebAssembly.validate(bytes)) return true;
  // Node 20 has relaxed SIMD behind a flag, which may be set at any time before a module is compiled and holds for workers
  // too. (Its baseline compiler computes `i32x4.relaxed_dot_i8x16_i7x16_add_s` wrongly; the kernels do without.)
  return setV8Flag('--experimental-wasm-relaxed-simd') && WebAssembly.validate(bytes);
}

function bytesOf(
  { base64, memoryFlagsOffset }: { base64: string; memoryFlagsOffset: number },
  shared: boolean,
): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  // Flags of the imported memory: 3 is shared with a maximum, 1 only has a maximum.
  if (!shared) bytes[memoryFlagsOffset] = 1;
  return bytes;
}

function unsupported(what: string): Phi3Error {
  return new Phi3Error({
    code: 'UNSUPPORTED',
    function: 'createWasmBackend',
    argument: 'options.simd',
    expected: `an engine with WebAssembly ${what}`,
  });
}
