import { testExamples } from '@phiblocks/testing';
import * as backendWasm from '../src/index.ts';

testExamples(new URL('../src', import.meta.url), { ...backendWasm });
