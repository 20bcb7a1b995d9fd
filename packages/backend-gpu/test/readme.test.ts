import { testMarkdown } from '@phiblocks/testing';
import * as backendGpu from '../src/index.ts';

testMarkdown(new URL('../README.md', import.meta.url), { '@phiblocks/backend-gpu': backendGpu });
