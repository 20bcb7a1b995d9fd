import { createSeededRandom } from '@phiblocks/testing';
import { bench } from 'vitest';
import { clipEncode, linear, preprocessImage } from '../src/index.ts';
import { createSmallTower } from '../test/support/small-tower.ts';

const once = { iterations: 3, warmupIterations: 1, time: 0, warmupTime: 0 };
const random = createSeededRandom(1);

const { config, weights } = createSmallTower({
  patchSize: 14,
  seed: 2,
  scale: 0.02,
  config: { hiddenSize: 1024, intermediateSize: 4096, numAttentionHeads: 16 },
});
const crop = { data: random.normals(3 * 336 * 336), shape: [3, 336, 336] };
bench('one layer of CLIP ViT-L/14-336 over one crop', () => void clipEncode(crop, weights.clip, config), once);

const x = { data: random.normals(577 * 1024), shape: [577, 1024] };
const weight = { data: random.normals(1024 * 1024), shape: [1024, 1024] };
bench('linear [577, 1024] · [1024, 1024]', () => void linear(x, { weight }), once);

const picture = { width: 1920, height: 1080, data: new Uint8Array(1920 * 1080 * 3).map(() => random.integer(256)) };
bench('preprocessing of 1920 × 1080 into 16 crops', () => void preprocessImage(picture, { numCrops: 16 }), once);
