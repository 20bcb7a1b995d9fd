import { testMarkdown } from '@phiblocks/testing';
import * as backendWasm from '../src/index.ts';

testMarkdown(new URL('../README.md', import.meta.url), { '@phiblocks/backend-wasm': backendWasm });
