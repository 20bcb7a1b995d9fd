// A whole Phi-3-mini in Q4_0 with made-up weights, in the operations of the backend contract: what the benches of whole tokens run.
export const shape = {
  layers: 32,
  hiddenSize: 3072,
  intermediateSize: 8192,
  numHeads: 32,
  headDim: 96,
  vocabSize: 32064,
};
const { layers, hiddenSize: C, intermediateSize: I, numHeads: H, headDim: D, vocabSize: V } = shape;

/** Multiply-adds of a token in the linear layers, the head left out. */
export const macsPerToken = layers * (3 * C * C + C * C + 3 * C * I);

export function createMadeUpModel(backend) {
  const bytes = new Uint8Array((V * C * 18) / 32).fill(0x1c);
  // Nibbles 8 above and below by turns, so that sums neither grow nor vanish.
  for (let i = 0; i < bytes.length; i++) if (i % 18 > 1) bytes[i] = i % 2 ? 0x7a : 0x96;
  const weight = (rows, columns) =>
    backend.uploadWeight({
      format: 'Q4_0',
      shape: [rows, columns],
      bytes: bytes.subarray(0, (rows * columns * 18) / 32),
      dequantizeRow() {},
    });
  const model = Array.from({ length: layers }, () => ({
    qkv: weight(3 * C, C),
    out: weight(C, C),
    gateUp: weight(2 * I, C),
    down: weight(C, I),
  }));
  const embedding = weight(V, C);
  const head = weight(V, C);
  const norm = backend.upload({ data: new Float32Array(C).fill(1), shape: [C] });

  return {
    createCache: () => backend.createCache({ numLayers: layers, numKeyValueHeads: H, headDim: D }),

    /** Keys and values of `tokens` positions without computing them: for filling a cache in seconds. */
    fill(cache, tokens) {
      const step = backend.beginStep();
      const data = Float32Array.from({ length: tokens * C }, (_, i) => Math.sin(i));
      const rows = step.upload({ data, shape: [tokens, C] });
      for (let layer = 0; layer < layers; layer++) step.appendToCache(cache, layer, rows, rows);
      step.commit(cache, tokens);
      step.end();
    },

    /** `watch` may stand between the model and the step that runs it. */
    async forward(cache, tokens, watch = (step) => step) {
      const step = watch(backend.beginStep());
      const angles = { data: new Float32Array((tokens * D) / 2).fill(0.5), shape: [tokens, D / 2] };
      const rotary = { cos: step.upload(angles), sin: step.upload(angles) };
      const kept = [rotary.cos, rotary.sin];
      let hidden = step.embed(
        embedding,
        new Int32Array(tokens).map((_, i) => i * 7),
      );
      for (const [layer, { qkv, out, gateUp, down }] of model.entries()) {
        const fused = step.linear(step.rmsNorm(hidden, norm, 1e-5), qkv);
        const q = step.rotate(step.columns(fused, 0, C), rotary, D);
        const k = step.rotate(step.columns(fused, C, C), rotary, D);
        step.appendToCache(cache, layer, k, step.columns(fused, 2 * C, C));
        const attended = step.attention(q, cache, layer, { scale: 1 / Math.sqrt(D), slidingWindow: 2047 });
        hidden = step.add(hidden, step.linear(attended, out));
        const gated = step.gatedActivation(step.linear(step.rmsNorm(hidden, norm, 1e-5), gateUp), 'swiglu');
        hidden = step.add(hidden, step.linear(gated, down));
        step.keepOnly([hidden, ...kept]);
      }
      const last = step.rows(step.rmsNorm(hidden, norm, 1e-5), tokens - 1, 1);
      await backend.read(step.linear(last, head));
      step.commit(cache, tokens);
      step.end();
    },
  };
}

export const median = (values) => values.slice().sort((a, b) => a - b)[values.length >> 1];

export async function timed(run) {
  const before = performance.now();
  await run();
  return performance.now() - before;
}
