import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tensor from '@phiblocks/tensor';
import { testExamples } from '@phiblocks/testing';
import { afterAll } from 'vitest';
import * as api from '../src/index.ts';
import * as node from '../src/node.ts';

// The folder that examples for Node speak of: a checkpoint of one tensor.
const folder = await mkdtemp(join(tmpdir(), 'phiblocks-examples-'));
await node.writeSafetensorsFile(join(folder, 'model.safetensors'), [
  { name: 'a', dtype: 'F32', shape: [2], bytes: new Uint8Array(8) },
]);
afterAll(() => rm(folder, { recursive: true, force: true }));

testExamples(new URL('../src', import.meta.url), { ...tensor, ...api, ...node, folder });
