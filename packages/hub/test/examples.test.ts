import * as tensor from '@phiblocks/tensor';
import { testExamples } from '@phiblocks/testing';
import * as api from '../src/index.ts';
import * as node from '../src/node.ts';
import { tinySetting } from './tiny-setting.ts';

testExamples(new URL('../src', import.meta.url), { ...tensor, ...api, ...node, ...(await tinySetting()) });
