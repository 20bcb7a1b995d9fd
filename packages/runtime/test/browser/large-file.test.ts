import { rangeServerTraffic, servePatternedCheckpoint, stopRangeServer } from '@phiblocks/testing/browser';
import { parsePhi3Config } from '@phiblocks/weights';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createPhi3Worker, type Phi3Worker } from '../../src/index.ts';
import { tensorPlanOf } from '../tiny-members.ts';

// A file of 2 GB on a server, of which no part of the tab ever holds more than a tenth: experts are read when they are needed.

const config = {
  model_type: 'phimoe',
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 5,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  num_local_experts: 16,
  num_experts_per_tok: 2,
  attention_bias: true,
  lm_head_bias: true,
  vocab_size: 512,
  max_position_embeddings: 4096,
  bos_token_id: 1,
  eos_token_id: 2,
};
const expertSizeInBytes = 3 * 2 * 1024 * 4096;
const expertCacheInBytes = 4 * expertSizeInBytes;

const opened: Phi3Worker[] = [];
afterEach(() => {
  for (const worker of opened.splice(0)) worker.dispose();
});
afterAll(() => stopRangeServer());

describe('a checkpoint of 2 GB by address, in a worker', () => {
  it('runs in a tenth of its size, with experts on demand', { timeout: 300_000 }, async () => {
    const shapes = tensorPlanOf(parsePhi3Config(new TextEncoder().encode(JSON.stringify(config))));
    const served = await servePatternedCheckpoint(config, shapes);
    expect(served.sizeInBytes).toBeGreaterThan(2e9);

    const worker = await createPhi3Worker({
      worker: new Worker(new URL('./phi3.worker.ts', import.meta.url), { type: 'module' }),
    });
    opened.push(worker);
    const place = { url: served.address };
    const model = await worker.loadModel(place, { backend: 'wasm', expertsOnDemand: true, expertCacheInBytes });
    const loaded = await rangeServerTraffic();
    const session = await model.createSession();
    const numbers: number[] = [];
    for (const id of [1, 17, 400]) {
      const { data } = await session.advance([id]);
      expect(data.every(Number.isFinite)).toBe(true);
      numbers.push(data[0]!);
    }
    const { backendInBytes } = await model.memory();
    const traffic = await rangeServerTraffic();
    const inWords = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
    console.log(
      `of ${inWords(served.sizeInBytes)}: ${inWords(loaded.answeredBytes)} to load, ${inWords(traffic.answeredBytes)} behind ` +
        `3 tokens, the largest answer ${inWords(traffic.largestAnswerInBytes)}; the backend holds ${inWords(backendInBytes!)}`,
    );
    expect(traffic.largestAnswerInBytes).toBe(served.largestTensorInBytes);
    expect(loaded.answeredBytes).toBeLessThan(served.sizeInBytes / 10);
    expect(backendInBytes).toBeLessThan(served.sizeInBytes / 10);
  });
});
