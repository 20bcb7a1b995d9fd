import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tensor from '@phiblocks/tensor';
import { forgeGguf, ggml, testMarkdown } from '@phiblocks/testing';
import { afterAll } from 'vitest';
import * as api from '../src/index.ts';
import * as node from '../src/node.ts';

const folder = await mkdtemp(join(tmpdir(), 'phiblocks-readme-'));
await writeFile(
  join(folder, 'model.gguf'),
  forgeGguf({
    metadata: [
      ['general.architecture', { type: 'string', value: 'phi3' }],
      ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: ['<unk>', '<s>', '</s>', 'a'] }],
    ],
    tensors: [{ name: 'token_embd.weight', shape: [4, 32], type: ggml.Q8_0, sizeInBytes: 4 * 34 }],
  }),
);
afterAll(() => rm(folder, { recursive: true, force: true }));

testMarkdown(
  new URL('../README.md', import.meta.url),
  { '@phiblocks/weights': api, '@phiblocks/weights/node': node, '@phiblocks/tensor': tensor },
  { folder },
);
