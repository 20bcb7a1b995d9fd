import { testMarkdown } from '@phiblocks/testing';
import * as api from '../src/index.ts';
import { createSmallTower } from './support/small-tower.ts';

testMarkdown(
  new URL('../README.md', import.meta.url),
  { '@phiblocks/vision': api },
  createSmallTower({ patchSize: 14, seed: 2 }),
);
