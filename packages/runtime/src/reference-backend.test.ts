import { encodeFloats, type FloatTensor, type WeightMatrix } from '@phiblocks/tensor';
import { createSeededRandom, describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import { createWeightMatrix } from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import { createReferenceBackend } from './reference-backend.ts';

// Sums run in float64 here and there; what remains is one rounding to float32 per result: 2^-24 of its size, doubled for
// results that are products of rounded parts.
const rounding = { absolute: 1e-6, relative: 2 ** -22, reason: 'a few roundings to float32' };

const random = createSeededRandom(5);
const tensor = (...shape: number[]): FloatTensor => ({
  data: random.normals(shape.reduce((product, size) => product * size, 1)),
  shape,
});
const matrix = ({ data, shape }: FloatTensor, format: 'F32' | 'F16' | 'BF16' = 'F32'): WeightMatrix =>
  createWeightMatrix(format, [shape[0]!, shape[1]!], encodeFloats(data, format));
const silu = (z: number) => z / (1 + Math.exp(-z));

/** `x · Wᵀ` in float64. */
function product(x: FloatTensor, weight: FloatTensor): number[] {
  const [tokens, columns] = x.shape as [number, number];
  const out: number[] = [];
  for (let token = 0; token < tokens; token++) {
    for (let row = 0; row < weight.shape[0]!; row++) {
      let sum = 0;
      for (let i = 0; i < columns; i++) sum += x.data[token * columns + i]! * weight.data[row * columns + i]!;
      out.push(sum);
    }
  }
  return out;
}

describe('the reference backend against definitions in float64', () => {
  it('linear, with and without bias, for widths that four does not divide', async () => {
    const backend = createReferenceBackend();
    for (const [tokens, columns, rows] of [
      [1, 1, 1],
      [3, 7, 5],
      [2, 32, 9],
      [5, 13, 1],
    ] as const) {
      const x = tensor(tokens, columns);
      const weight = tensor(rows, columns);
      const bias = tensor(rows);
      const step = backend.beginStep();
      const handle = backend.uploadWeight(matrix(weight));
      const plain = await backend.read(step.linear(step.upload(x), handle));
      expect(plain.shape).toEqual([tokens, rows]);
      expectClose(plain.data, product(x, weight), rounding, 'linear');
      const biased = await backend.read(step.linear(step.upload(x), handle, step.upload(bias)));
      expectClose(
        biased.data,
        product(x, weight).map((value, i) => value + bias.data[i % rows]!),
        rounding,
        'biased',
      );
      step.end();
    }
  });

  it.each(['F16', 'BF16'] as const)(
    'linear with %s weights equals linear with the same values in F32',
    async (format) => {
      const backend = createReferenceBackend();
      const weight = matrix(tensor(6, 10), format);
      const decoded = new Float32Array(60);
      for (let row = 0; row < 6; row++) weight.dequantizeRow(row, decoded.subarray(row * 10, row * 10 + 10));
      const step = backend.beginStep();
      const x = step.upload(tensor(3, 10));
      const stored = await backend.read(step.linear(x, backend.uploadWeight(weight)));
      const plain = matrix({ data: decoded, shape: [6, 10] });
      expect(stored).toEqual(await backend.read(step.linear(x, backend.uploadWeight(plain))));
    },
  );

  it('embed picks rows', async () => {
    const backend = createReferenceBackend();
    const table = tensor(5, 3);
    const step = backend.beginStep();
    const picked = await backend.read(step.embed(backend.uploadWeight(matrix(table)), Int32Array.of(4, 0, 4)));
    expect([...picked.data]).toEqual([...table.data.slice(12), ...table.data.slice(0, 3), ...table.data.slice(12)]);
  });

  it('rmsNorm and layerNorm', async () => {
    const backend = createReferenceBackend();
    const x = tensor(3, 11);
    const weight = tensor(11);
    const bias = tensor(11);
    const step = backend.beginStep();
    const rms = await backend.read(step.rmsNorm(step.upload(x), step.upload(weight), 1e-5));
    const layer = await backend.read(step.layerNorm(step.upload(x), step.upload(weight), step.upload(bias), 1e-5));
    const rows = [0, 1, 2].map((row) => [...x.data.slice(row * 11, row * 11 + 11)]);
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const expectedRms = rows.flatMap((row) => {
      const scale = Math.sqrt(mean(row.map((value) => value * value)) + 1e-5);
      return row.map((value, i) => (value / scale) * weight.data[i]!);
    });
    const expectedLayer = rows.flatMap((row) => {
      const scale = Math.sqrt(mean(row.map((value) => (value - mean(row)) ** 2)) + 1e-5);
      return row.map((value, i) => ((value - mean(row)) / scale) * weight.data[i]! + bias.data[i]!);
    });
    expectClose(rms.data, expectedRms, rounding, 'rmsNorm');
    expectClose(layer.data, expectedLayer, rounding, 'layerNorm');
  });

  it('add, multiply, rows and columns', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const a = { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] };
    const b = { data: Float32Array.of(10, 20, 30, 40, 50, 60), shape: [2, 3] };
    const x = step.upload(a);
    expect([...(await backend.read(step.add(x, step.upload(b)))).data]).toEqual([11, 22, 33, 44, 55, 66]);
    expect([...(await backend.read(step.multiply(x, 2))).data]).toEqual([2, 4, 6, 8, 10, 12]);
    expect(await backend.read(step.rows(x, 1, 1))).toEqual({ data: Float32Array.of(4, 5, 6), shape: [1, 3] });
    expect(await backend.read(step.rows(x, 2, 0))).toEqual({ data: Float32Array.of(), shape: [0, 3] });
    expect(await backend.read(step.columns(x, 1, 2))).toEqual({ data: Float32Array.of(2, 3, 5, 6), shape: [2, 2] });
  });

  it('gated and plain activations', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const x = tensor(4, 10);
    const swiglu = await backend.read(step.gatedActivation(step.upload(x), 'swiglu'));
    expect(swiglu.shape).toEqual([4, 5]);
    const expected = [...swiglu.data].map((_, i) => {
      const row = Math.floor(i / 5) * 10;
      return silu(x.data[row + (i % 5)]!) * x.data[row + 5 + (i % 5)]!;
    });
    expectClose(swiglu.data, expected, rounding, 'swiglu');
    const z = { data: Float32Array.of(-3, -0.5, 0, 1, 7), shape: [1, 5] };
    const quick = await backend.read(step.activation(step.upload(z), 'quickGelu'));
    expectClose(
      quick.data,
      [...z.data].map((v) => v / (1 + Math.exp(-1.702 * v))),
      rounding,
      'quickGelu',
    );
    // Φ(-3), Φ(-0.5), Φ(1), Φ(7) from tables of the normal distribution.
    const table = [-3 * 0.0013498980316301, -0.5 * 0.308537538725987, 0, 0.841344746068543, 7 * 0.99999999999872];
    expectClose((await backend.read(step.activation(step.upload(z), 'gelu'))).data, table, rounding, 'gelu');
  });

  it('gegelu by hand: limit 20, one-sided for the gate', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    // Rows hold the gate, then the linear part. The three values are those of the specification.
    const x = { data: Float32Array.of(1, -2, 25, 0.5, 3, -30), shape: [1, 6] };
    const result = await backend.read(step.gatedActivation(step.upload(x), 'gegelu', 20));
    expectClose(result.data, [1.2686936, -0.2573655, -380], { relative: 1e-6, reason: 'seven digits are given' });
  });

  it('patchEmbedding is a convolution whose stride is its size', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const [channels, height, width, patch, outputs] = [2, 4, 6, 2, 3];
    const image = tensor(channels, height, width);
    const kernel = tensor(outputs, channels * patch * patch);
    const result = await backend.read(
      step.patchEmbedding(step.upload(image), backend.uploadWeight(matrix(kernel)), patch),
    );
    const expected: number[] = [];
    for (let y = 0; y < height / patch; y++) {
      for (let x = 0; x < width / patch; x++) {
        for (let output = 0; output < outputs; output++) {
          let sum = 0;
          for (let c = 0; c < channels; c++) {
            for (let dy = 0; dy < patch; dy++) {
              for (let dx = 0; dx < patch; dx++) {
                const pixel = image.data[(c * height + y * patch + dy) * width + x * patch + dx]!;
                sum += pixel * kernel.data[((output * channels + c) * patch + dy) * patch + dx]!;
              }
            }
          }
          expected.push(sum);
        }
      }
    }
    expect(result.shape).toEqual([6, 3]);
    expectClose(result.data, expected, rounding, 'patchEmbedding');
  });

  it('fullAttention: every query sees every key', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const [tokens, heads, headDim] = [5, 2, 3];
    const [q, k, v] = [0, 1, 2].map(() => tensor(tokens, heads * headDim)) as [FloatTensor, FloatTensor, FloatTensor];
    const options = { numHeads: heads, scale: 0.7 };
    const result = await backend.read(step.fullAttention(step.upload(q), step.upload(k), step.upload(v), options));
    const at = (t: FloatTensor, token: number, head: number, i: number) =>
      t.data[(token * heads + head) * headDim + i]!;
    const expected: number[] = [];
    for (let token = 0; token < tokens; token++) {
      for (let head = 0; head < heads; head++) {
        const weights = Array.from({ length: tokens }, (_, other) => {
          let score = 0;
          for (let i = 0; i < headDim; i++) score += at(q, token, head, i) * at(k, other, head, i);
          return Math.exp(0.7 * score);
        });
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let i = 0; i < headDim; i++) {
          expected.push(weights.reduce((sum, weight, other) => sum + (weight / total) * at(v, other, head, i), 0));
        }
      }
    }
    expectClose(result.data, expected, rounding, 'fullAttention');
  });

  it('attention with keyRotation equals attention over keys that were rotated before', async () => {
    const backend = createReferenceBackend();
    const shape = { numLayers: 1, numKeyValueHeads: 2, headDim: 4 };
    const [q, k, v] = [tensor(3, 16), tensor(3, 8), tensor(3, 8)];
    const step = backend.beginStep();
    const angles = random.normals(6);
    const rotary = {
      cos: step.upload({ data: angles.map(Math.cos), shape: [3, 2] }),
      sin: step.upload({ data: angles.map(Math.sin), shape: [3, 2] }),
    };
    const before = backend.createCache(shape);
    step.appendToCache(before, 0, step.rotate(step.upload(k), rotary, 4), step.upload(v));
    const onRead = backend.createCache(shape);
    step.appendToCache(onRead, 0, step.upload(k), step.upload(v));
    const queries = step.upload(q);
    const expected = await backend.read(step.attention(queries, before, 0, { scale: 0.5 }));
    expect(await backend.read(step.attention(queries, onRead, 0, { scale: 0.5, keyRotation: rotary }))).toEqual(
      expected,
    );
  });

  it('experts: the weighted sum of what each token is routed to', async () => {
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const [tokens, C, I] = [6, 5, 4];
    const x = tensor(tokens, C);
    const gate = tensor(4, C);
    const experts = Array.from({ length: 4 }, () => ({ w1: tensor(I, C), w2: tensor(C, I), w3: tensor(I, C) }));
    const handles = experts.map(({ w1, w2, w3 }) => ({
      w1: backend.uploadWeight(matrix(w1)),
      w2: backend.uploadWeight(matrix(w2)),
      w3: backend.uploadWeight(matrix(w3)),
    }));
    const routing = step.routeExperts(step.upload(x), backend.uploadWeight(matrix(gate)), {
      expertsPerToken: 2,
      jitterEpsilon: 1e-9,
    });
    const result = await backend.read(step.runExperts(step.upload(x), routing, handles));
    // With so small an epsilon no rival survives, so both weights are 1: the sum of the two best experts.
    const scores = product(x, gate);
    const expected: number[] = [];
    for (let token = 0; token < tokens; token++) {
      const row = { data: x.data.slice(token * C, token * C + C), shape: [1, C] };
      const order = [0, 1, 2, 3].sort((a, b) => scores[token * 4 + b]! - scores[token * 4 + a]!);
      const sums = Array(C).fill(0);
      for (const expert of order.slice(0, 2)) {
        const { w1, w2, w3 } = experts[expert]!;
        const up = product(row, w3);
        const inner = product(row, w1).map((value, i) => silu(value) * up[i]!);
        const down = product({ data: Float32Array.from(inner), shape: [1, I] }, w2);
        for (let i = 0; i < C; i++) sums[i] += down[i]!;
      }
      expected.push(...sums);
    }
    expectClose(result.data, expected, { ...rounding, absolute: 3e-6 }, 'runExperts');
  });
});

describeWithShared('the reference backend against goldens', 'goldens/block-gegelu-a', () => {
  it('gegelu at every limit', async () => {
    const golden = loadGolden('block-gegelu-a');
    const backend = createReferenceBackend();
    const step = backend.beginStep();
    const { data, shape } = golden.tensor('input');
    // The checkpoint interleaves the two halves; a weight map puts the gate first, as `gatedActivation` wants it.
    const width = shape[1]! / 2;
    const halves = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const row = Math.floor(i / (2 * width));
      const column = i % (2 * width);
      halves[row * 2 * width + (column % 2) * width + Math.floor(column / 2)] = data[i]!;
    }
    const x = step.upload({ data: halves, shape });
    for (const [name, limit] of [
      ['limit20', 20],
      ['limit3', 3],
      ['no_limit', undefined],
    ] as const) {
      const { data: expected, tolerance } = golden.tensor(name);
      const result = await backend.read(step.gatedActivation(x, 'gegelu', limit));
      expectClose(result.data, expected, { absolute: tolerance, reason: 'tolerance of case.json' }, name);
    }
  });
});

describe('handles', () => {
  it('temporaries end with their step, weights and caches with free', () => {
    const backend = createReferenceBackend();
    const weight = backend.uploadWeight(matrix(tensor(2, 2)));
    const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 2 });
    const step = backend.beginStep();
    const x = step.upload(tensor(1, 2));
    const y = step.linear(x, weight);
    expect(backend.liveHandles()).toBe(4);
    step.keepOnly([y]);
    expect(backend.liveHandles()).toBe(3);
    expect(() => step.multiply(x, 1)).toThrow(/HANDLE_INVALID multiply/);
    step.end();
    step.end();
    expect(backend.liveHandles()).toBe(2);
    expect(() => step.upload(tensor(1, 2))).toThrow(/STEP_ENDED/);
    backend.free(weight);
    backend.free(cache);
    expect(backend.liveHandles()).toBe(0);
    expect(() => backend.free(weight)).toThrow(/HANDLE_INVALID free/);
  });

  it('another backend does not take them', () => {
    const step = createReferenceBackend().beginStep();
    const foreign = createReferenceBackend().upload(tensor(1, 2));
    expect(() => step.add(foreign, foreign)).toThrow(/HANDLE_INVALID add/);
  });

  it('what is read does not change what is held', async () => {
    const backend = createReferenceBackend();
    const handle = backend.upload({ data: Float32Array.of(1), shape: [1] });
    (await backend.read(handle)).data[0] = 5;
    expect((await backend.read(handle)).data[0]).toBe(1);
  });
});

describe('shapes that do not fit are errors', () => {
  const backend = createReferenceBackend();
  const step = backend.beginStep();
  const weight = backend.uploadWeight(matrix(tensor(3, 4)));
  const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 4 });
  const x = step.upload(tensor(2, 5));
  it.each([
    ['linear', () => step.linear(x, weight)],
    ['rmsNorm', () => step.rmsNorm(x, step.upload(tensor(4)), 1e-5)],
    ['layerNorm', () => step.layerNorm(x, step.upload(tensor(5)), step.upload(tensor(4)), 1e-5)],
    ['add', () => step.add(x, step.upload(tensor(5, 2)))],
    ['rows', () => step.rows(x, 1, 2)],
    ['columns', () => step.columns(x, 4, 2)],
    ['gatedActivation', () => step.gatedActivation(x, 'swiglu')],
    ['attention', () => step.attention(x, cache, 0, { scale: 1 })],
    ['patchEmbedding', () => step.patchEmbedding(step.upload(tensor(1, 3, 4)), weight, 2)],
  ])('%s', (name, run) => expect(run).toThrow(new RegExp(`^SHAPE ${name}`)));

  it('an id outside the table', () =>
    expect(() => step.embed(weight, Int32Array.of(3))).toThrow(/^TOKEN_ID_RANGE embed/));
});
