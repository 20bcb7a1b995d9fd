import { runPhi3Worker } from '../../src/worker.ts';

runPhi3Worker();
