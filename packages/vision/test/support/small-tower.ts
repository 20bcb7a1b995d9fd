import type { FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import type { ClipConfig, ImageEmbeddingWeights } from '../../src/index.ts';

/** A tower with random weights, small except for its picture of 336 × 336, and a projector to width 6. */
export function createSmallTower(options: {
  patchSize: number;
  seed: number;
  config?: Partial<ClipConfig>;
  scale?: number;
}): { config: ClipConfig; weights: ImageEmbeddingWeights } {
  const config: ClipConfig = {
    hiddenSize: 4,
    intermediateSize: 8,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    imageSize: 336,
    patchSize: options.patchSize,
    layerNormEps: 1e-5,
    ...options.config,
  };
  const { hiddenSize, intermediateSize, patchSize, imageSize, numHiddenLayers } = config;
  const random = createSeededRandom(options.seed);
  const tensor = (...shape: number[]): FloatTensor => ({
    data: random.normals(
      shape.reduce((size, axis) => size * axis, 1),
      options.scale ?? 0.3,
    ),
    shape,
  });
  const both = (...shape: number[]) => ({ weight: tensor(...shape), bias: tensor(shape[0]!) });
  return {
    config,
    weights: {
      clip: {
        classEmbedding: tensor(hiddenSize),
        patchEmbedding: tensor(hiddenSize, 3, patchSize, patchSize),
        positionEmbedding: tensor((imageSize / patchSize) ** 2 + 1, hiddenSize),
        preLayerNorm: both(hiddenSize),
        layers: Array.from({ length: numHiddenLayers - 1 }, () => ({
          layerNorm1: both(hiddenSize),
          selfAttention: {
            qProj: both(hiddenSize, hiddenSize),
            kProj: both(hiddenSize, hiddenSize),
            vProj: both(hiddenSize, hiddenSize),
            outProj: both(hiddenSize, hiddenSize),
          },
          layerNorm2: both(hiddenSize),
          mlp: { fc1: both(intermediateSize, hiddenSize), fc2: both(hiddenSize, intermediateSize) },
        })),
      },
      subGn: tensor(4 * hiddenSize),
      glbGn: tensor(4 * hiddenSize),
      projector: { linear1: both(6, 4 * hiddenSize), linear2: both(6, 6) },
    },
  };
}
