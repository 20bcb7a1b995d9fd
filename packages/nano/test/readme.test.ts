import { testMarkdown } from '@phiblocks/testing';
import * as api from '../src/index.ts';

testMarkdown(new URL('../README.md', import.meta.url), { '@phiblocks/nano': api });
