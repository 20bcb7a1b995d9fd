/**
 * Which packages a package's published code may import, as the architecture has it:
 * `tensor` ← blocks, weights, backends ← `runtime` ← `phiblocks` ← apps.
 */
export type Layer = 'tensor' | 'block' | 'weights' | 'hub' | 'backend' | 'runtime' | 'evals' | 'data' | 'umbrella';

const layers: Record<string, Layer> = {
  '@phiblocks/tensor': 'tensor',
  '@phiblocks/tokenizer': 'block',
  '@phiblocks/longrope': 'block',
  '@phiblocks/gqa': 'block',
  '@phiblocks/block-sparse-attention': 'block',
  '@phiblocks/mixture-of-experts': 'block',
  '@phiblocks/quantization': 'block',
  '@phiblocks/vision': 'block',
  '@phiblocks/sampler': 'block',
  '@phiblocks/weights': 'weights',
  '@phiblocks/hub': 'hub',
  '@phiblocks/backend-wasm': 'backend',
  '@phiblocks/backend-gpu': 'backend',
  '@phiblocks/runtime': 'runtime',
  '@phiblocks/evals': 'evals',
  '@phiblocks/nano': 'data',
  phiblocks: 'umbrella',
};

const mayImport: Record<Layer, readonly Layer[]> = {
  tensor: [],
  block: ['tensor'],
  weights: ['tensor'],
  hub: ['tensor', 'weights'],
  backend: ['tensor'],
  // By name only and behind `import()`: see the decision record on choosing a backend.
  runtime: ['tensor', 'block', 'weights', 'hub', 'backend'],
  evals: ['tensor', 'block', 'weights', 'hub', 'runtime'],
  data: [],
  umbrella: ['tensor', 'block', 'weights', 'hub', 'backend', 'runtime', 'evals'],
};

const reasons: Partial<Record<Layer, string>> = {
  tensor: 'tensor is what everything stands on',
  block: 'blocks import tensor only, never each other, so that each can be used alone',
  weights: 'weights import tensor only',
  backend: 'a backend imports tensor only, never the runtime or a block',
  runtime: 'the runtime stands below what re-exports it',
};

/** Where a package stands; undefined when the table above does not know it. */
export function layerOf(packageName: string): Layer | undefined {
  return Object.hasOwn(layers, packageName) ? layers[packageName] : undefined;
}

/** Why `importer` must not import `imported`, or undefined when it may. */
export function objection(importer: string, imported: string): string | undefined {
  const from = layerOf(importer);
  const to = layerOf(imported);
  if (from === undefined) return `${importer} has no place in the table of arrows yet: add it`;
  if (to === undefined) return `${imported} is not a published package of this workspace`;
  if (mayImport[from].includes(to)) return undefined;
  return `${importer} must not import ${imported}: ${reasons[from] ?? `${from} may import ${mayImport[from].join(', ') || 'nothing'}`}`;
}
