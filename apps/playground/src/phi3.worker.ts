import { runPhi3Worker } from '@phiblocks/runtime/worker';

runPhi3Worker();
