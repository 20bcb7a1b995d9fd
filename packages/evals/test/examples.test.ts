import { testExamples } from '@phiblocks/testing';
import * as api from '../src/index.ts';

testExamples(new URL('../src', import.meta.url), api);
