import { testExamples } from '@phiblocks/testing';
import { parsePhi3Config } from '@phiblocks/weights';
import * as api from '../src/index.ts';
import { locatePackagedCheckpoint } from '../src/node.ts';
import { runPhi3Worker } from '../src/worker.ts';
import { tinyConfig } from './tiny-checkpoint.ts';

const tinyPhi3Config = parsePhi3Config(new TextEncoder().encode(JSON.stringify(tinyConfig)));

testExamples(new URL('../src', import.meta.url), { ...api, locatePackagedCheckpoint, runPhi3Worker, tinyPhi3Config });
