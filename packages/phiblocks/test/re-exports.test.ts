import * as backendGpu from '@phiblocks/backend-gpu';
import * as backendWasm from '@phiblocks/backend-wasm';
import * as blockSparseAttention from '@phiblocks/block-sparse-attention';
import * as evals from '@phiblocks/evals';
import * as gqa from '@phiblocks/gqa';
import * as hub from '@phiblocks/hub';
import * as hubNode from '@phiblocks/hub/node';
import * as longrope from '@phiblocks/longrope';
import * as mixtureOfExperts from '@phiblocks/mixture-of-experts';
import * as quantization from '@phiblocks/quantization';
import * as runtime from '@phiblocks/runtime';
import * as runtimeNode from '@phiblocks/runtime/node';
import * as sampler from '@phiblocks/sampler';
import * as tensor from '@phiblocks/tensor';
import * as tokenizer from '@phiblocks/tokenizer';
import * as vision from '@phiblocks/vision';
import * as weights from '@phiblocks/weights';
import * as weightsNode from '@phiblocks/weights/node';
import { expect, it } from 'vitest';
import * as umbrella from '../src/index.ts';
import * as umbrellaNode from '../src/node.ts';

// `export *` drops a name that two packages export, without a word: so every name is looked for.
const packages = {
  backendGpu,
  backendWasm,
  blockSparseAttention,
  evals,
  gqa,
  hub,
  longrope,
  mixtureOfExperts,
  quantization,
  runtime,
  sampler,
  tensor,
  tokenizer,
  vision,
  weights,
};

it.each(Object.entries(packages))('every export of %s is here', (_, exports) => {
  for (const [name, value] of Object.entries(exports))
    expect((umbrella as Record<string, unknown>)[name], name).toBe(value);
});

it('and nothing else', () => {
  const known = new Set(Object.values(packages).flatMap((exports) => Object.keys(exports)));
  expect(Object.keys(umbrella).filter((name) => !known.has(name))).toEqual([]);
});

it('the Node entry re-exports the Node entries', () => {
  expect({ ...umbrellaNode }).toEqual({ ...hubNode, ...runtimeNode, ...weightsNode });
});
