import { testExamples } from '@phiblocks/testing';
import * as api from '../src/index.ts';
import { createSmallTower } from './support/small-tower.ts';

const picture: api.RgbImage = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 0, 0, 255) };

testExamples(new URL('../src', import.meta.url), { ...api, ...createSmallTower({ patchSize: 14, seed: 1 }), picture });
