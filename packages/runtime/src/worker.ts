export type { MessageEndpoint } from './worker/message-endpoint.ts';
export { runPhi3Worker } from './worker/run-phi3-worker.ts';
