import type { FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { createSmallTower } from '../test/support/small-tower.ts';
import type { ClipConfig } from './clip-config.ts';
import { type ClipWeights, clipEncode } from './clip-encode.ts';

// The tower in float64 on plain arrays of rows, written from CLIP's description.

type Rows = number[][];

function rowsOf({ data, shape }: FloatTensor): Rows {
  const width = shape.slice(1).reduce((size, axis) => size * axis, 1);
  return Array.from({ length: shape[0]! }, (_, row) => Array.from(data.slice(row * width, (row + 1) * width)));
}

function slowTower(pixels: FloatTensor, weights: ClipWeights, config: ClipConfig, numLayers: number): Rows {
  const dot = (a: number[], b: ArrayLike<number>) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const dense = (x: Rows, { weight, bias }: { weight: FloatTensor; bias: FloatTensor }) => {
    const kernel = rowsOf(weight);
    return x.map((row) => kernel.map((taps, out) => dot(row, taps) + bias.data[out]!));
  };
  const norm = (x: Rows, { weight, bias }: { weight: FloatTensor; bias: FloatTensor }) =>
    x.map((row) => {
      const mean = row.reduce((a, b) => a + b) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      const divisor = Math.sqrt(variance + config.layerNormEps);
      return row.map((value, i) => ((value - mean) / divisor) * weight.data[i]! + bias.data[i]!);
    });
  const sum = (a: Rows, b: Rows) => a.map((row, t) => row.map((value, i) => value + b[t]![i]!));

  const { patchSize, imageSize, hiddenSize, numAttentionHeads } = config;
  const side = imageSize / patchSize;
  const patches: Rows = [];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const patch: number[] = [];
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < patchSize; y++) {
          for (let x = 0; x < patchSize; x++) {
            const line = channel * imageSize + row * patchSize + y;
            patch.push(pixels.data[line * imageSize + column * patchSize + x]!);
          }
        }
      }
      patches.push(patch);
    }
  }
  const kernel = rowsOf(weights.patchEmbedding);
  const embedded = patches.map((patch) => kernel.map((taps) => dot(patch, taps)));
  let hidden = norm(
    sum([Array.from(weights.classEmbedding.data), ...embedded], rowsOf(weights.positionEmbedding)),
    weights.preLayerNorm,
  );
  for (const layer of weights.layers.slice(0, numLayers)) {
    const normed = norm(hidden, layer.layerNorm1);
    const [queries, keys, values] = (['qProj', 'kProj', 'vProj'] as const).map((name) =>
      dense(normed, layer.selfAttention[name]),
    ) as [Rows, Rows, Rows];
    const headDim = hiddenSize / numAttentionHeads;
    const attended = hidden.map((row) => row.map(() => 0));
    for (let head = 0; head < numAttentionHeads; head++) {
      const part = (row: number[]) => row.slice(head * headDim, (head + 1) * headDim);
      for (const [t, query] of queries.entries()) {
        const scores = keys.map((key) => Math.exp(dot(part(query), part(key)) / Math.sqrt(headDim)));
        const total = scores.reduce((a, b) => a + b);
        for (const [s, score] of scores.entries()) {
          for (const [d, value] of part(values[s]!).entries())
            attended[t]![head * headDim + d]! += (score / total) * value;
        }
      }
    }
    hidden = sum(hidden, dense(attended, layer.selfAttention.outProj));
    const inner = dense(norm(hidden, layer.layerNorm2), layer.mlp.fc1);
    const activated = inner.map((row) => row.map((value) => value / (1 + Math.exp(-1.702 * value))));
    hidden = sum(hidden, dense(activated, layer.mlp.fc2));
  }
  return hidden;
}

const { config, weights } = createSmallTower({
  patchSize: 2,
  seed: 11,
  config: { hiddenSize: 6, intermediateSize: 10, numAttentionHeads: 3, imageSize: 8, numHiddenLayers: 4 },
});
const pixels = { data: createSeededRandom(12).normals(3 * 8 * 8), shape: [3, 8, 8] };

describe('clipEncode', () => {
  it('is the tower up to the layer before the last, without the class token', () => {
    const encoded = clipEncode(pixels, weights.clip, config);
    expect(encoded.shape).toEqual([16, 6]);
    expectClose(encoded.data, slowTower(pixels, weights.clip, config, 3).slice(1).flat(), {
      absolute: 1e-5,
      reason: 'float32 between operations: some 30 roundings of values up to 5, each 2⁻²² at most',
    });
  });

  it('shows every intermediate, the class token included', () => {
    const seen = new Map<string, FloatTensor>();
    const encoded = clipEncode(pixels, weights.clip, config, { onTensor: (name, tensor) => seen.set(name, tensor) });
    expect([...seen.keys()]).toEqual(['embeddings', ...[0, 1, 2, 3].map((index) => `hiddenStates.${index}`)]);
    expect(seen.get('hiddenStates.3')!.shape).toEqual([17, 6]);
    expect(Array.from(seen.get('hiddenStates.3')!.data.slice(6))).toEqual(Array.from(encoded.data));
    expectClose(seen.get('hiddenStates.1')!.data, slowTower(pixels, weights.clip, config, 1).flat(), {
      absolute: 1e-5,
      reason: 'as above',
    });
  });

  it('does not run the last layer, whether it is there or not', () => {
    const more = { ...weights.clip, layers: [...weights.clip.layers, weights.clip.layers[0]!] };
    expect(clipEncode(pixels, more, config)).toEqual(clipEncode(pixels, weights.clip, config));
  });

  it('runs one layer of the published width', () => {
    const published = createSmallTower({
      patchSize: 14,
      seed: 13,
      scale: 0.02,
      config: { hiddenSize: 1024, intermediateSize: 4096, numAttentionHeads: 16 },
    });
    const crop = { data: createSeededRandom(14).normals(3 * 336 * 336), shape: [3, 336, 336] };
    const encoded = clipEncode(crop, published.weights.clip, published.config);
    expect(encoded.shape).toEqual([576, 1024]);
    expect(encoded.data.every(Number.isFinite)).toBe(true);
  });

  it('IM-16: rejects pixels of another shape or not finite', () => {
    const wide = { data: new Float32Array(3 * 8 * 9), shape: [3, 8, 9] };
    expect(() => clipEncode(wide, weights.clip, config)).toThrow(
      'IM_PIXELS clipEncode(pixels): expected shape [3, 8, 8], got [3, 8, 9]',
    );
    expect(() => clipEncode({ data: pixels.data.subarray(1), shape: [3, 8, 8] }, weights.clip, config)).toThrow(
      /^IM_PIXELS/,
    );
    for (const bad of [Number.NaN, Infinity]) {
      const data = pixels.data.slice();
      data[77] = bad;
      expect(() => clipEncode({ data, shape: [3, 8, 8] }, weights.clip, config)).toThrow(
        `IM_PIXELS clipEncode(pixels.data[77]): expected a finite number, got ${bad}`,
      );
    }
  });

  it('rejects a config that cannot be, and weights that do not fit it', () => {
    const run = (change: Partial<ClipConfig>) => () => clipEncode(pixels, weights.clip, { ...config, ...change });
    expect(run({ numAttentionHeads: 4 })).toThrow(
      'ARGUMENT clipEncode(config.numAttentionHeads): expected a divisor of 6, got 4',
    );
    expect(run({ patchSize: 3 })).toThrow('ARGUMENT clipEncode(config.patchSize): expected a divisor of 8, got 3');
    expect(run({ hiddenSize: 0 })).toThrow(/^ARGUMENT clipEncode\(config.hiddenSize\)/);
    expect(run({ layerNormEps: Number.NaN })).toThrow(/^ARGUMENT clipEncode\(config.layerNormEps\)/);
    expect(run({ numHiddenLayers: 5 })).toThrow('ARGUMENT clipEncode(weights.layers): expected at least 4, got 3');
    expect(run({ hiddenSize: 9 })).toThrow('SHAPE clipEncode(weights.classEmbedding): expected shape [9], got [6]');
    const misspelt = { onTensor: undefined, onTensors: () => {} };
    expect(() => clipEncode(pixels, weights.clip, config, misspelt)).toThrow(/^OPTION_UNKNOWN/);
  });
});
