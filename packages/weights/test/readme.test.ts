import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tensor from '@phiblocks/tensor';
import { testMarkdown } from '@phiblocks/testing';
import { afterAll } from 'vitest';
import * as api from '../src/index.ts';
import * as node from '../src/node.ts';

const folder = await mkdtemp(join(tmpdir(), 'phiblocks-readme-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

testMarkdown(
  new URL('../README.md', import.meta.url),
  { '@phiblocks/weights': api, '@phiblocks/weights/node': node, '@phiblocks/tensor': tensor },
  { folder },
);
