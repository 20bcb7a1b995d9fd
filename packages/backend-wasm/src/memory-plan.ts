import { Phi3Error, type WeightFormat } from '@phiblocks/tensor';
import type { KernelExports } from './kernels.ts';
import { storedFormat } from './weight-layouts.ts';

/** What a backend will be asked to hold: from this follows how many WebAssembly memories it needs. */
export interface MemoryPlan {
  /** The matrices that will be uploaded. */
  readonly weights: readonly { readonly format: WeightFormat; readonly shape: readonly number[] }[];
  /** Bytes of weights that come and go besides: experts on demand. 0 when absent. */
  readonly otherWeightsInBytes?: number | undefined;
  /** Bytes that the first memory should have left for caches and results. 2^29 when absent. */
  readonly roomInBytes?: number | undefined;
}

/** More are refused: the address space that an engine sets aside for each is several gigabytes. */
export const mostMemories = 8;
const defaultRoom = 2 ** 29;

/** A memory that holds weights also needs room for the input and the result of a product. */
export function roomForProducts(memorySizeInBytes: number): number {
  return Math.min(2 ** 28, memorySizeInBytes / 16);
}

/**
 * How many memories a plan needs: the first for caches and results, and for weights as far as there is room; the others for
 * weights.
 *
 * @param memorySizeInBytes - the most that one memory may hold
 * @returns the number, and the bytes of all weights in the layouts of the kernels
 * @throws Phi3Error `OOM` when eight memories do not do
 */
export function planMemories(
  { weights, otherWeightsInBytes = 0, roomInBytes = defaultRoom }: MemoryPlan,
  memorySizeInBytes: number,
  kernels: Pick<KernelExports, 'rowsSizeInBytes'>,
): { memories: number; weightsInBytes: number } {
  let total = otherWeightsInBytes;
  let largest = 0;
  for (const { format, shape } of weights) {
    const [rows, ...rest] = shape as [number, ...number[]];
    const size = sizeInMemory(
      kernels,
      storedFormat(format).layout,
      rows,
      rest.reduce((a, b) => a * b, 1),
    );
    total += size;
    largest = Math.max(largest, size);
  }
  const usable = memorySizeInBytes - roomForProducts(memorySizeInBytes);
  const inFirst = Math.max(0, usable - roomInBytes);
  // Matrices are whole in one memory: up to one of them may not fit into what is left of it.
  const inOther = Math.max(usable - largest, 1);
  const memories = total <= inFirst ? 1 : 1 + Math.ceil((total - Math.max(0, inFirst - largest)) / inOther);
  if (memories > mostMemories || largest > usable) {
    throw new Phi3Error({
      code: 'OOM',
      function: 'createWasmBackend',
      argument: 'options.plan',
      expected: `weights that fit into ${mostMemories} memories of ${memorySizeInBytes} bytes`,
      got: `${total} bytes`,
      hint: 'Quantize the model to fewer bits, or load experts on demand.',
    });
  }
  return { memories, weightsInBytes: total };
}

/** Bytes of a matrix in a layout: rows come by sixteens. */
export function sizeInMemory(
  kernels: Pick<KernelExports, 'rowsSizeInBytes'>,
  layout: number,
  rows: number,
  columns: number,
): number {
  return Math.ceil(rows / 16) * (kernels.rowsSizeInBytes(layout, columns) >>> 0);
}
