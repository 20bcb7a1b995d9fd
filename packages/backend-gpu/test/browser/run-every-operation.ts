import type { WeightFormat } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';
import { createGpuBackend, type GpuMode } from '../../src/index.ts';

const formats: readonly (readonly [WeightFormat, bytes: number])[] = [
  ['F32', 4 * 64 * 16],
  ['Q4_0', 18 * 2 * 16],
  ['Q4_1', 20 * 2 * 16],
  ['Q5_0', 22 * 2 * 16],
  ['Q8_0', 34 * 2 * 16],
];

/** Numbers between -1 and 1 that need no generator. */
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i * i + 1));

/** Runs every kernel on small numbers. The same code is bundled for production and loaded by the development server. */
export async function runEveryOperation(mode: GpuMode): Promise<Record<string, number[]>> {
  const backend = await createGpuBackend({ mode });
  const results: Record<string, number[]> = {};
  const step = backend.beginStep();
  const matrix = (rows: number, columns: number) =>
    step.upload({ data: numbers(rows * columns), shape: [rows, columns] });
  const vector = (size: number) => step.upload({ data: numbers(size), shape: [size] });
  const keep = async (name: string, handle: Parameters<typeof backend.read>[0]): Promise<void> => {
    results[name] = [...(await backend.read(handle)).data];
  };
  const x = matrix(3, 64);
  for (const [format, size] of formats) {
    // Float16 and float32 scales of ordinary size, whatever the bytes.
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7) % 61);
    const weight = backend.uploadWeight(createWeightMatrix(format, [16, 64], bytes));
    await keep(`linear ${format}`, step.linear(x, weight, vector(16)));
    await keep(`embed ${format}`, step.embed(weight, Int32Array.of(3, 15)));
  }
  await keep('rmsNorm', step.rmsNorm(x, vector(64), 1e-5));
  await keep('layerNorm', step.layerNorm(x, vector(64), vector(64), 1e-5));
  await keep('add', step.add(x, x));
  await keep('multiply', step.multiply(x, 3));
  await keep('rows', step.rows(x, 1, 2));
  await keep('columns', step.columns(x, 5, 7));
  const rotary = (positions: number) => ({ cos: matrix(positions, 4), sin: matrix(positions, 4) });
  await keep('rotate', step.rotate(x, rotary(3), 16));
  await keep('swiglu', step.gatedActivation(x, 'swiglu'));
  await keep('gegelu', step.gatedActivation(x, 'gegelu', 20));
  await keep('gelu', step.activation(x, 'gelu'));
  await keep('quickGelu', step.activation(x, 'quickGelu'));
  const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 2, headDim: 16 });
  for (const tokens of [3, 1]) {
    const rows = matrix(tokens, 32);
    step.appendToCache(cache, 0, rows, rows);
    const queries = step.rows(x, 0, tokens);
    await keep(`attention of ${tokens}`, step.attention(queries, cache, 0, { scale: 0.25, slidingWindow: 3 }));
    step.commit(cache, tokens);
  }
  const blockSparse = { blockSize: 1, numLocalBlocks: 1, verticalStride: 2, headStep: 1 };
  const options = { scale: 0.25, blockSparse, keyRotation: rotary(4) };
  await keep('block-sparse attention of rotated keys', step.attention(x, cache, 0, options));
  await keep('fullAttention', step.fullAttention(x, x, x, { numHeads: 4, scale: 0.25 }));
  const floats = (rows: number, columns: number) =>
    backend.uploadWeight(createWeightMatrix('F32', [rows, columns], new Uint8Array(numbers(rows * columns).buffer)));
  const experts = [1, 2, 3].map(() => ({ w1: floats(8, 64), w2: floats(64, 8), w3: floats(8, 64) }));
  const routing = step.routeExperts(x, floats(3, 64), { expertsPerToken: 2, jitterEpsilon: 0.01 });
  results.routing = [...(await backend.readRouting(routing)).expertIds];
  await keep('runExperts', step.runExperts(x, routing, experts));
  const pixels = step.upload({ data: numbers(2 * 4 * 8), shape: [2, 4, 8] });
  await keep('patchEmbedding', step.patchEmbedding(pixels, floats(5, 32), 4));
  step.end();
  await backend.dispose();
  return results;
}
