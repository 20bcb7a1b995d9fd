import { testExamples } from '@phiblocks/testing';
import * as backendGpu from '../src/index.ts';

testExamples(new URL('../src', import.meta.url), { ...backendGpu });
