import {
  type AttentionOptions,
  type Backend,
  type BlockSparsePattern,
  type FloatTensor,
  isPhi3Error,
  type Step,
  type TensorHandle,
  type WeightFormat,
} from '@phiblocks/tensor';
import { createSeededRandom, type SeededRandom } from '@phiblocks/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as define from './definitions.ts';
import { type Matrix, matrix } from './definitions.ts';
import { allFormats, isBlockFormat, randomWeight, weightsPerBlock } from './random-weights.ts';

/** What a backend computes with less than float32's precision, and what it lets a test see. */
export interface ConformanceOptions<B extends Backend = Backend> {
  /** Products with block formats round activations to int8 in groups of 32. */
  readonly quantizesActivations?: boolean;
  /** The largest relative error of a key or value in the cache: 0 when stored as float32, 2^-11 as float16. */
  readonly cacheError?: number;
  /** How many handles are alive, where the backend counts them. */
  readonly liveHandles?: (backend: B) => number;
}

// One unit of rounding in float32. Every tolerance below is a number of these, times the magnitude of what was summed.
const unit = 2 ** -24;

/**
 * Runs every operation of the backend contract against its definition in float64: odd sizes, one row, long rows, the same
 * handle as two arguments, an empty cache, the edges of windows, every weight format; and the life of handles.
 *
 * @param name - of the backend, in the titles of the tests
 * @param createBackend - called once; the suite disposes what it gives
 */
export function testBackend<B extends Backend>(
  name: string,
  createBackend: () => B | Promise<B>,
  options: ConformanceOptions<B> = {},
): void {
  const { quantizesActivations = false, cacheError = 0, liveHandles } = options;
  let backend: B;
  let random: SeededRandom;

  describe(`${name} against the definitions`, () => {
    beforeAll(async () => {
      backend = await createBackend();
    });
    afterAll(() => backend?.dispose());

    /** Runs a case in a step of its own. The seed is the case's, so that no test depends on those before it. */
    async function inStep(seed: number, run: (step: Step) => Promise<void>): Promise<void> {
      random = createSeededRandom(seed);
      const step = backend.beginStep();
      try {
        await run(step);
      } finally {
        step.end();
      }
    }

    const normals = (rows: number, columns: number, scale = 1): FloatTensor => ({
      data: random.normals(rows * columns, scale),
      shape: [rows, columns],
    });
    const vector = (size: number): FloatTensor => ({ data: random.normals(size), shape: [size] });
    const asMatrix = ({ data, shape }: FloatTensor): Matrix => matrix(data, shape[0]!, shape[1]!);

    async function expectResult(
      handle: TensorHandle,
      shape: readonly number[],
      expected: ArrayLike<number>,
      allowed: (index: number) => number,
      label: string,
    ): Promise<void> {
      const { data, shape: got } = await backend.read(handle);
      expect(got, `${label}: shape`).toEqual(shape);
      expectWithin(data, expected, allowed, label);
    }

    /** For results of a few roundings each: 2^-20 of the value, and 2^-22 where terms near 1 cancel. */
    const few = (expected: ArrayLike<number>) => (index: number) => 2 ** -20 * Math.abs(expected[index]!) + 2 ** -22;

    async function expectLinear(
      step: Step,
      format: WeightFormat,
      [tokens, columns, rows]: readonly [number, number, number],
      withBias: boolean,
    ): Promise<void> {
      const x = normals(tokens, columns);
      const { weight, values } = randomWeight(random, format, rows, columns);
      const bias = withBias ? vector(rows) : undefined;
      const handle = backend.uploadWeight(weight);
      expect([...handle.shape]).toEqual([rows, columns]);
      expect(handle.format).toBe(format);
      const result = step.linear(step.upload(x), handle, bias && step.upload(bias));
      const expected = define.linear(asMatrix(x), values, bias?.data);
      const coarse =
        quantizesActivations && isBlockFormat(format) ? define.activationRounding(asMatrix(x), values) : undefined;
      // Errors of n roundings grow with their root, beside four that do not depend on n.
      const roundings = 4 + Math.sqrt(columns);
      const allowed = (i: number) => roundings * unit * expected.magnitudes[i]! + (coarse ? coarse[i]! : 0);
      await expectResult(
        result,
        [tokens, rows],
        expected.values,
        allowed,
        `linear ${format} ${tokens}×${columns}×${rows}`,
      );
      backend.free(handle);
    }

    describe.each(allFormats())('linear with %s weights', (format) => {
      const sizes = isBlockFormat(format)
        ? (
            [
              [1, 1, 1],
              [1, 1, 16],
              [2, 2, 17],
              [3, 1, 33],
              [4, 3, 5],
              [5, 1, 48],
              [133, 1, 18],
            ] as const
          ).map(([tokens, blocks, rows]) => [tokens, blocks * weightsPerBlock(format), rows] as const)
        : ([
            [1, 1, 1],
            [1, 31, 16],
            [2, 33, 17],
            [3, 7, 5],
            [4, 100, 33],
            [5, 13, 1],
            [133, 40, 18],
          ] as const);

      it.each(sizes)('%i × %i times %i rows', (...size) => {
        return inStep(1, async (step) => {
          await expectLinear(step, format, size, false);
          await expectLinear(step, format, size, true);
        });
      });

      it('long rows', () => inStep(2, (step) => expectLinear(step, format, [1, 8192, 19], false)));
      it('long rows of several tokens', () => inStep(3, (step) => expectLinear(step, format, [6, 4096, 3], true)));

      it('embed gives the stored rows', () => {
        return inStep(4, async (step) => {
          const columns = isBlockFormat(format) ? 2 * weightsPerBlock(format) : 41;
          const { weight, values } = randomWeight(random, format, 21, columns);
          const table = backend.uploadWeight(weight);
          const ids = Int32Array.of(20, 0, 16, 20, 3);
          const width = values.columns;
          const expected = [...ids].flatMap((id) => [...values.data.subarray(id * width, (id + 1) * width)]);
          const allowed = (i: number) => unit * Math.abs(expected[i]!);
          await expectResult(step.embed(table, ids), [5, width], expected, allowed, `embed ${format}`);
          backend.free(table);
        });
      });
    });

    it('linear of activations that are zero, and of a row beside a much larger one', () => {
      return inStep(5, async (step) => {
        const x = normals(3, 64);
        x.data.fill(0, 0, 64);
        for (let i = 128; i < 192; i++) x.data[i]! *= 1e6;
        for (const format of ['F32', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'] as const) {
          const { weight, values } = randomWeight(random, format, 9, 64);
          const handle = backend.uploadWeight(weight);
          const expected = define.linear(asMatrix(x), values);
          const coarse = define.activationRounding(asMatrix(x), values);
          const allowed = (i: number) =>
            12 * unit * expected.magnitudes[i]! + (quantizesActivations && isBlockFormat(format) ? coarse[i]! : 0);
          await expectResult(step.linear(step.upload(x), handle), [3, 9], expected.values, allowed, format);
          backend.free(handle);
        }
      });
    });

    it.each([
      [1, 1],
      [3, 11],
      [2, 64],
      [1, 5000],
      [129, 33],
    ])('rmsNorm and layerNorm of %i × %i', (rows, columns) => {
      return inStep(6, async (step) => {
        const x = normals(rows, columns, 3);
        const [weight, bias] = [vector(columns), vector(columns)];
        const [xh, wh, bh] = [step.upload(x), step.upload(weight), step.upload(bias)];
        const rms = define.rmsNorm(asMatrix(x), weight.data, 1e-5);
        await expectResult(step.rmsNorm(xh, wh, 1e-5), [rows, columns], rms, few(rms), 'rmsNorm');
        const layer = define.layerNorm(asMatrix(x), weight.data, bias.data, 1e-5);
        // Numbers up to 4 cancel against the bias.
        const allowed = (i: number) => 2 ** -20 * (Math.abs(layer[i]!) + 4);
        await expectResult(step.layerNorm(xh, wh, bh, 1e-5), [rows, columns], layer, allowed, 'layerNorm');
      });
    });

    it('norms of a row of zeros', () => {
      return inStep(7, async (step) => {
        const x = step.upload({ data: new Float32Array(10), shape: [1, 10] });
        const [weight, bias] = [vector(10), vector(10)];
        const zeros = new Float64Array(10);
        await expectResult(step.rmsNorm(x, step.upload(weight), 1e-5), [1, 10], zeros, () => 0, 'rmsNorm');
        const layer = step.layerNorm(x, step.upload(weight), step.upload(bias), 1e-5);
        await expectResult(layer, [1, 10], bias.data, () => 0, 'layerNorm');
      });
    });

    it.each([
      [1, 1],
      [3, 7],
      [40, 1030],
    ])('add, multiply, rows and columns of %i × %i', (rows, columns) => {
      return inStep(8, async (step) => {
        const [a, b] = [normals(rows, columns), normals(rows, columns)];
        const [ah, bh] = [step.upload(a), step.upload(b)];
        const exact = () => 0;
        const shape = [rows, columns];
        await expectResult(
          step.add(ah, bh),
          shape,
          a.data.map((value, i) => value + b.data[i]!),
          exact,
          'add',
        );
        await expectResult(
          step.add(ah, ah),
          shape,
          a.data.map((value) => value + value),
          exact,
          'add to itself',
        );
        const tripled = a.data.map((value) => value * Math.fround(-3.3));
        await expectResult(step.multiply(ah, Math.fround(-3.3)), shape, tripled, exact, 'multiply');
        const last = a.data.slice((rows - 1) * columns);
        await expectResult(step.rows(ah, rows - 1, 1), [1, columns], last, exact, 'rows');
        await expectResult(step.rows(ah, rows, 0), [0, columns], [], exact, 'no rows');
        const start = Math.floor(columns / 3);
        const count = columns - start;
        const cut = a.data.filter((_, i) => i % columns >= start);
        await expectResult(step.columns(ah, start, count), [rows, count], cut, exact, 'columns');
        // Arguments are never written to.
        await expectResult(ah, shape, a.data, exact, 'the argument');
      });
    });

    it.each([
      [1, 2, 4, 2],
      [5, 3, 6, 2],
      [3, 2, 96, 48],
      [4, 1, 128, 48],
    ])('rotate %i tokens, %i heads of %i by %i angles', (tokens, heads, headDim, half) => {
      return inStep(9, async (step) => {
        const x = normals(tokens, heads * headDim);
        const angles = random.normals(tokens * half, 3);
        const cos = { data: angles.map(Math.cos), shape: [tokens, half] };
        const sin = { data: angles.map(Math.sin), shape: [tokens, half] };
        const rotary = { cos: step.upload(cos), sin: step.upload(sin) };
        const expected = define.rotate(asMatrix(x), asMatrix(cos), asMatrix(sin), headDim);
        // Two products of numbers up to 5 cancel.
        const allowed = () => 5 * 4 * unit;
        await expectResult(step.rotate(step.upload(x), rotary, headDim), x.shape, expected, allowed, 'rotate');
      });
    });

    it.each([
      [1, 1],
      [4, 5],
      [3, 1001],
    ])('gated activations of %i × 2·%i', (rows, size) => {
      return inStep(10, async (step) => {
        const x = normals(rows, 2 * size, 4);
        const halves = (f: (gate: number, up: number) => number) =>
          Array.from({ length: rows * size }, (_, i) => {
            const start = Math.floor(i / size) * 2 * size + (i % size);
            return f(x.data[start]!, x.data[start + size]!);
          });
        const swiglu = halves((gate, up) => define.silu(gate) * up);
        const xh = step.upload(x);
        await expectResult(step.gatedActivation(xh, 'swiglu'), [rows, size], swiglu, few(swiglu), 'swiglu');
        for (const limit of [undefined, 20, 3]) {
          const gegelu = halves((gate, up) => define.gegelu(gate, up, limit));
          const got = step.gatedActivation(xh, 'gegelu', limit);
          await expectResult(got, [rows, size], gegelu, few(gegelu), `gegelu ${limit}`);
        }
      });
    });

    it('activations far out: large gates neither overflow nor vanish', () => {
      return inStep(11, async (step) => {
        const points = [-1e4, -200, -90, -88, -30, -1, -0.5, -1e-3, 0, 1e-3, 1, 7, 30, 88, 90, 200, 1e4];
        const x = step.upload({ data: Float32Array.from([...points, ...points.map(() => 1)]), shape: [1, 34] });
        const exact = points.map((point) => define.silu(Math.fround(point)));
        // The argument of the exponential is rounded, so the error grows with it. Below 1e-30 a product may as well be 0.
        const allowed = (expected: number[]) => (i: number) =>
          (2 ** -20 + 4 * unit * Math.abs(points[i]!)) * Math.abs(expected[i]!) + 1e-30;
        await expectResult(step.gatedActivation(x, 'swiglu'), [1, 17], exact, allowed(exact), 'swiglu');
        const quick = points.map((point) => define.quickGelu(Math.fround(point)));
        const z = step.columns(x, 0, 17);
        await expectResult(step.activation(z, 'quickGelu'), [1, 17], quick, allowed(quick), 'quickGelu');
      });
    });

    it('gelu and quickGelu', () => {
      return inStep(12, async (step) => {
        const x = normals(3, 67, 2);
        const xh = step.upload(x);
        const quick = Array.from(x.data, define.quickGelu);
        await expectResult(step.activation(xh, 'quickGelu'), [3, 67], quick, few(quick), 'quickGelu');
        const gelu = Array.from(x.data, define.gelu);
        await expectResult(step.activation(xh, 'gelu'), [3, 67], gelu, few(gelu), 'gelu');
      });
    });

    interface CacheCase {
      readonly heads: number;
      readonly keyValueHeads: number;
      readonly headDim: number;
      /** Tokens of each step, appended and then committed. */
      readonly chunks: readonly number[];
      readonly slidingWindow?: number;
      readonly blockSparse?: BlockSparsePattern;
      /** Angles per position: keys are stored unrotated and rotated as they are read. */
      readonly rotateOnRead?: number;
    }

    async function expectAttention(seed: number, one: CacheCase): Promise<void> {
      random = createSeededRandom(seed);
      const { heads, keyValueHeads, headDim, chunks, slidingWindow, blockSparse, rotateOnRead } = one;
      const width = keyValueHeads * headDim;
      const total = chunks.reduce((sum, chunk) => sum + chunk, 0);
      const cache = backend.createCache({ numLayers: 2, numKeyValueHeads: keyValueHeads, headDim });
      expect(cache.length).toBe(0);
      const scale = 1 / Math.sqrt(headDim);
      // Two layers with other numbers, so that a mixed-up layer shows.
      const layers = [0, 1].map(() => ({ keys: normals(total, width), values: normals(total, width) }));
      const angles = random.normals(total * (rotateOnRead ?? 0), 3);
      let start = 0;
      for (const tokens of chunks) {
        const step = backend.beginStep();
        const end = start + tokens;
        const part = ({ data }: FloatTensor): TensorHandle =>
          step.upload({ data: data.slice(start * width, end * width), shape: [tokens, width] });
        for (const [layer, { keys, values }] of layers.entries()) {
          step.appendToCache(cache, layer, part(keys), part(values));
          const queries = normals(tokens, heads * headDim, 2);
          const seenAngles = angles.slice(0, end * (rotateOnRead ?? 0));
          const cos = { data: seenAngles.map(Math.cos), shape: [end, rotateOnRead ?? 0] };
          const sin = { data: seenAngles.map(Math.sin), shape: [end, rotateOnRead ?? 0] };
          const attentionOptions: AttentionOptions = {
            scale,
            slidingWindow,
            blockSparse,
            keyRotation: rotateOnRead ? { cos: step.upload(cos), sin: step.upload(sin) } : undefined,
          };
          const result = step.attention(step.upload(queries), cache, layer, attentionOptions);
          const stored = matrix(keys.data.slice(0, end * width), end, width);
          const expected = define.attention({
            queries: asMatrix(queries),
            keys: rotateOnRead
              ? matrix(define.rotate(stored, asMatrix(cos), asMatrix(sin), headDim), end, width)
              : stored,
            values: matrix(values.data.slice(0, end * width), end, width),
            headDim,
            scale,
            start,
            // A rotation mixes two components and their errors.
            storedError: rotateOnRead ? 2 * cacheError : cacheError,
            sees: (position, other, head) =>
              other <= position &&
              (slidingWindow === undefined || other > position - slidingWindow) &&
              (blockSparse === undefined || seesBlock(blockSparse, position, other, head)),
          });
          const label = `attention of layer ${layer}, positions ${start} to ${end - 1}`;
          await expectResult(result, queries.shape, expected.values, (i) => expected.magnitudes[i]!, label);
        }
        expect(cache.length).toBe(start);
        step.commit(cache, tokens);
        start = end;
        expect(cache.length).toBe(start);
        step.end();
      }
      expect(cache.sizeInBytes).toBeGreaterThan(0);
      backend.free(cache);
    }

    const cacheCases: Record<string, CacheCase> = {
      'one token at a time from an empty cache': { heads: 2, keyValueHeads: 2, headDim: 4, chunks: [1, 1, 1] },
      'odd sizes': { heads: 3, keyValueHeads: 1, headDim: 5, chunks: [7, 1, 3] },
      'groups of heads': { heads: 8, keyValueHeads: 2, headDim: 16, chunks: [33, 1, 31, 1] },
      'heads of 96': { heads: 2, keyValueHeads: 2, headDim: 96, chunks: [70, 1, 1] },
      'heads of 128 in groups': { heads: 8, keyValueHeads: 2, headDim: 128, chunks: [3, 61, 5] },
      'a long past': { heads: 2, keyValueHeads: 1, headDim: 8, chunks: [600, 1, 2] },
      'a longer past than two pages, odd heads': { heads: 5, keyValueHeads: 1, headDim: 27, chunks: [517, 1, 5] },
      'heads of 32 in a group of four': { heads: 4, keyValueHeads: 1, headDim: 32, chunks: [31, 1, 1, 255] },
      'heads of 40, which end in a narrow slice': { heads: 2, keyValueHeads: 2, headDim: 40, chunks: [34, 1, 4] },
      'heads of one': { heads: 2, keyValueHeads: 2, headDim: 1, chunks: [3, 1] },
      'a window that begins where a chunk does': {
        heads: 4,
        keyValueHeads: 1,
        headDim: 16,
        chunks: [95, 1, 1, 33],
        slidingWindow: 32,
      },
      'a window of one': { heads: 2, keyValueHeads: 2, headDim: 8, chunks: [5, 1], slidingWindow: 1 },
      'a window at the edge of what is stored': {
        heads: 2,
        keyValueHeads: 1,
        headDim: 8,
        chunks: [6, 1, 1],
        slidingWindow: 7,
      },
      'a window shorter than the past': {
        heads: 2,
        keyValueHeads: 1,
        headDim: 8,
        chunks: [70, 1, 40],
        slidingWindow: 33,
      },
      'a block-sparse pattern': {
        heads: 6,
        keyValueHeads: 2,
        headDim: 8,
        chunks: [50, 1, 20],
        blockSparse: { blockSize: 4, numLocalBlocks: 2, verticalStride: 3, headStep: 1 },
      },
      'the published block-sparse pattern': {
        heads: 4,
        keyValueHeads: 1,
        headDim: 8,
        chunks: [700, 1],
        blockSparse: { blockSize: 64, numLocalBlocks: 2, verticalStride: 8, headStep: 1 },
      },
      'a block-sparse pattern equal in all heads': {
        heads: 2,
        keyValueHeads: 1,
        headDim: 4,
        chunks: [40, 1],
        blockSparse: { blockSize: 3, numLocalBlocks: 1, verticalStride: 4, headStep: 0 },
      },
      'keys rotated as they are read': { heads: 4, keyValueHeads: 2, headDim: 8, chunks: [37, 1, 5], rotateOnRead: 4 },
      'keys rotated in part, with a window': {
        heads: 2,
        keyValueHeads: 2,
        headDim: 12,
        chunks: [20, 1],
        rotateOnRead: 4,
        slidingWindow: 9,
      },
    };
    it.each(Object.entries(cacheCases))('attention: %s', (_name, one) => expectAttention(13, one));

    it('large scores neither overflow nor lose the largest', () => {
      return inStep(14, async (step) => {
        const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 2 });
        const keys = { data: Float32Array.of(100, 0, -100, 0, 99, 0), shape: [3, 2] };
        const values = { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [3, 2] };
        step.appendToCache(cache, 0, step.upload(keys), step.upload(values));
        const query = { data: Float32Array.of(100, 0, 100, 0, 100, 0), shape: [3, 2] };
        const result = step.attention(step.upload(query), cache, 0, { scale: 1 });
        await expectResult(result, [3, 2], [1, 2, 1, 2, 1, 2], () => 0.01, 'attention');
        backend.free(cache);
      });
    });

    it('truncating forgets, appending again replaces what was not committed', async () => {
      random = createSeededRandom(15);
      const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 4 });
      const step = backend.beginStep();
      const [keys, values, others] = [normals(40, 4), normals(40, 4), normals(40, 4)];
      step.appendToCache(cache, 0, step.upload(keys), step.upload(values));
      step.commit(cache, 40);
      expect(cache.length).toBe(40);
      backend.truncateCache(cache, 35);
      expect(cache.length).toBe(35);
      step.appendToCache(cache, 0, step.upload(keys), step.upload(values));
      step.appendToCache(cache, 0, step.rows(step.upload(others), 0, 1), step.rows(step.upload(others), 1, 1));
      const query = normals(1, 4);
      const result = step.attention(step.upload(query), cache, 0, { scale: 0.5 });
      const expected = define.attention({
        queries: asMatrix(query),
        keys: matrix([...keys.data.slice(0, 140), ...others.data.slice(0, 4)], 36, 4),
        values: matrix([...values.data.slice(0, 140), ...others.data.slice(4, 8)], 36, 4),
        headDim: 4,
        scale: 0.5,
        start: 35,
        storedError: cacheError,
        sees: () => true,
      });
      await expectResult(result, [1, 4], expected.values, (i) => expected.magnitudes[i]!, 'attention');
      expect(() => step.commit(cache, 3)).toThrow(/KV_COMMIT/);
      step.commit(cache, 1);
      expect(cache.length).toBe(36);
      expect(() => backend.truncateCache(cache, 37)).toThrow(/ARGUMENT/);
      backend.truncateCache(cache, 0);
      expect(cache.length).toBe(0);
      step.end();
      backend.free(cache);
    });

    it.each([
      [0, 1, 4],
      [1, 1, 8],
      [33, 2, 40],
      [300, 3, 7],
    ])('readCache: %i positions, %i heads of %i', (length, numKeyValueHeads, headDim) => {
      return inStep(27, async (step) => {
        if (!backend.readCache) return;
        const shape = { numLayers: 2, numKeyValueHeads, headDim };
        const width = numKeyValueHeads * headDim;
        const cache = backend.createCache(shape);
        const all = [0, 1].map(() => ({ keys: normals(length + 5, width), values: normals(length + 5, width) }));
        for (const [layer, { keys, values }] of all.entries()) {
          step.appendToCache(cache, layer, step.upload(keys), step.upload(values));
        }
        step.commit(cache, length + 5);
        backend.truncateCache(cache, length);
        // Appended positions are not committed, and so not part of it.
        const more = step.upload(normals(1, width));
        step.appendToCache(cache, 0, more, more);
        const again = backend.createCache(shape);
        const read = [];
        for (const [layer, put] of all.entries()) {
          const got = await backend.readCache(cache, layer);
          read.push(got);
          for (const part of ['keys', 'values'] as const) {
            expect(got[part].shape).toEqual([length, width]);
            expect(got[part].data.length).toBe(length * width);
            for (const [i, value] of got[part].data.entries()) {
              const head = Math.floor(i / headDim) * headDim;
              let peak = 0;
              for (let j = head; j < head + headDim; j++) peak = Math.max(peak, Math.abs(put[part].data[j]!));
              // The error is stated for a typical component; rounding errs by twice that just above a power of two.
              const error = Math.abs(value - put[part].data[i]!);
              expect(error, `${part} ${i}`).toBeLessThanOrEqual(2 * cacheError * Math.max(1, peak));
            }
          }
          step.appendToCache(again, layer, step.upload(got.keys), step.upload(got.values));
        }
        step.commit(again, length);
        for (const [layer, first] of read.entries()) {
          const second = await backend.readCache(again, layer);
          expect(second.keys.data).toEqual(first.keys.data);
          expect(second.values.data).toEqual(first.values.data);
        }
        await expect(backend.readCache(cache, 2)).rejects.toThrow();
        backend.free(cache);
        await expect(backend.readCache(cache, 0)).rejects.toThrow(/HANDLE_INVALID/);
        backend.free(again);
      });
    });

    it.each([
      [1, 1, 4],
      [5, 2, 3],
      [37, 4, 16],
      [70, 1, 64],
    ])('fullAttention of %i tokens, %i heads of %i', (tokens, numHeads, headDim) => {
      return inStep(16, async (step) => {
        const [q, k, v] = [0, 1, 2].map(() => normals(tokens, numHeads * headDim)) as [
          FloatTensor,
          FloatTensor,
          FloatTensor,
        ];
        const result = step.fullAttention(step.upload(q), step.upload(k), step.upload(v), { numHeads, scale: 0.3 });
        const [queries, keys, values] = [asMatrix(q), asMatrix(k), asMatrix(v)];
        const expected = define.attention({ queries, keys, values, headDim, scale: 0.3, start: 0, sees: () => true });
        await expectResult(result, q.shape, expected.values, (i) => expected.magnitudes[i]!, 'fullAttention');
      });
    });

    it.each([
      [1, 4, 2],
      [9, 5, 2],
      [6, 3, 1],
    ])('experts: %i tokens, %i experts, %i each', (tokens, numExperts, expertsPerToken) => {
      return inStep(17, async (step) => {
        const [C, I] = [24, 20];
        const x = normals(tokens, C);
        const gate = randomWeight(random, 'F32', numExperts, C);
        const experts = Array.from({ length: numExperts }, () => ({
          w1: randomWeight(random, 'F32', I, C),
          w2: randomWeight(random, 'F32', C, I),
          w3: randomWeight(random, 'F32', I, C),
        }));
        const handles = experts.map(({ w1, w2, w3 }) => ({
          w1: backend.uploadWeight(w1.weight),
          w2: backend.uploadWeight(w2.weight),
          w3: backend.uploadWeight(w3.weight),
        }));
        const gateHandle = backend.uploadWeight(gate.weight);
        const xh = step.upload(x);
        const routing = step.routeExperts(xh, gateHandle, { expertsPerToken, jitterEpsilon: 0.01 });
        expect([routing.numTokens, routing.expertsPerToken]).toEqual([tokens, expertsPerToken]);
        const result = step.runExperts(xh, routing, handles);
        const scores = define.linear(asMatrix(x), gate.values).values;
        const expected = new Float64Array(tokens * C);
        for (let token = 0; token < tokens; token++) {
          const row = matrix(x.data.slice(token * C, (token + 1) * C), 1, C);
          const mixed = [...scores.slice(token * numExperts, (token + 1) * numExperts)];
          for (const { expert, weight } of define.sparseMixer(mixed, expertsPerToken, 0.01)) {
            const { w1, w2, w3 } = experts[expert]!;
            const up = define.linear(row, w3.values).values;
            const inner = define.linear(row, w1.values).values.map((value, i) => define.silu(value) * up[i]!);
            const down = define.linear(matrix(inner, 1, I), w2.values).values;
            for (let i = 0; i < C; i++) expected[token * C + i]! += weight * down[i]!;
          }
        }
        // Three products of 24 terms below 1, one after the other.
        await expectResult(result, [tokens, C], expected, () => 3 * 24 * unit, 'runExperts');
        for (const { w1, w2, w3 } of handles) for (const handle of [w1, w2, w3]) backend.free(handle);
        backend.free(gateHandle);
      });
    });

    it.each([
      [1, 2, 2, 2],
      [2, 4, 6, 2],
      [3, 28, 42, 14],
    ])('patchEmbedding of %i channels, %i × %i, patches of %i', (channels, height, width, patch) => {
      return inStep(18, async (step) => {
        const pixels = { data: random.normals(channels * height * width), shape: [channels, height, width] };
        const { weight, values } = randomWeight(random, 'F32', 5, channels * patch * patch);
        const handle = backend.uploadWeight(weight);
        const patches: number[] = [];
        for (let top = 0; top < height; top += patch) {
          for (let left = 0; left < width; left += patch) {
            for (let channel = 0; channel < channels; channel++) {
              for (let y = top; y < top + patch; y++) {
                for (let x = left; x < left + patch; x++)
                  patches.push(pixels.data[(channel * height + y) * width + x]!);
              }
            }
          }
        }
        const count = (height / patch) * (width / patch);
        const expected = define.linear(matrix(patches, count, values.columns), values);
        const allowed = (i: number) => (4 + Math.sqrt(values.columns)) * unit * expected.magnitudes[i]!;
        const result = step.patchEmbedding(step.upload(pixels), handle, patch);
        await expectResult(result, [count, 5], expected.values, allowed, 'patchEmbedding');
        backend.free(handle);
      });
    });

    describe('handles', () => {
      it('an ended step frees what it made, keepOnly what is not kept', async () => {
        random = createSeededRandom(19);
        const before = liveHandles?.(backend);
        const step = backend.beginStep();
        const x = step.upload(normals(2, 3));
        const y = step.multiply(x, 2);
        step.keepOnly([y]);
        expect(codeOf(() => step.multiply(x, 1))).toBe('HANDLE_INVALID');
        await backend.read(y);
        step.end();
        step.end();
        await expect(backend.read(y)).rejects.toThrow(/HANDLE_INVALID/);
        expect(codeOf(() => step.upload(normals(1, 1)))).toBe('STEP_ENDED');
        expect(liveHandles?.(backend)).toBe(before);
      });

      it('two steps interleaved do not disturb each other', async () => {
        random = createSeededRandom(20);
        const [first, second] = [backend.beginStep(), backend.beginStep()];
        const [a, b] = [normals(3, 5), normals(3, 5)];
        const [ah, bh] = [first.upload(a), second.upload(b)];
        const doubled = first.multiply(ah, 2);
        const tripled = second.multiply(bh, 3);
        first.end();
        const again = second.upload(a);
        await expectResult(
          tripled,
          [3, 5],
          b.data.map((value) => value * 3),
          () => 0,
          'the second step',
        );
        await expectResult(bh, [3, 5], b.data, () => 0, 'its argument');
        await expectResult(again, [3, 5], a.data, () => 0, 'what came later');
        await expect(backend.read(doubled)).rejects.toThrow(/HANDLE_INVALID/);
        second.end();
      });

      it('freed weights, tensors and caches are errors, a second time too', () => {
        random = createSeededRandom(21);
        const before = liveHandles?.(backend);
        const weight = backend.uploadWeight(randomWeight(random, 'F32', 3, 4).weight);
        const tensor = backend.upload(normals(1, 4));
        const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 4 });
        const step = backend.beginStep();
        const x = step.upload(normals(1, 4));
        step.linear(tensor, weight);
        for (const handle of [weight, tensor, cache]) {
          backend.free(handle);
          expect(codeOf(() => backend.free(handle))).toBe('HANDLE_INVALID');
        }
        expect(codeOf(() => step.linear(x, weight))).toBe('HANDLE_INVALID');
        expect(codeOf(() => step.add(x, tensor))).toBe('HANDLE_INVALID');
        expect(codeOf(() => step.appendToCache(cache, 0, x, x))).toBe('HANDLE_INVALID');
        step.end();
        expect(liveHandles?.(backend)).toBe(before);
      });

      it('uploaded numbers are copied, and read numbers are copies', async () => {
        const data = Float32Array.of(1, 2);
        const handle = backend.upload({ data, shape: [1, 2] });
        const step = backend.beginStep();
        const doubled = step.multiply(handle, 2);
        (await backend.read(handle)).data[0] = 9;
        await expectResult(handle, [1, 2], [1, 2], () => 0, 'what was uploaded');
        await expectResult(doubled, [1, 2], [2, 4], () => 0, 'the result');
        step.end();
        backend.free(handle);
      });
    });

    describe('shapes that do not fit are errors', () => {
      it.each<[string, (step: Step) => void]>([
        ['upload', (step) => step.upload({ data: new Float32Array(3), shape: [2, 2] })],
        ['rmsNorm', (step) => step.rmsNorm(step.upload(normals(2, 5)), step.upload(vector(4)), 1e-5)],
        [
          'layerNorm',
          (step) => step.layerNorm(step.upload(normals(2, 5)), step.upload(vector(5)), step.upload(vector(4)), 1),
        ],
        ['add', (step) => step.add(step.upload(normals(2, 5)), step.upload(normals(5, 2)))],
        ['rows', (step) => step.rows(step.upload(normals(2, 5)), 1, 2)],
        ['columns', (step) => step.columns(step.upload(normals(2, 5)), 4, 2)],
        ['gatedActivation', (step) => step.gatedActivation(step.upload(normals(2, 5)), 'swiglu')],
      ])('%s', (operation, run) => {
        return inStep(22, async (step) => {
          expect(() => run(step)).toThrow(new RegExp(`^SHAPE ${operation}`));
        });
      });

      it('linear, embed, attention and patchEmbedding', () => {
        return inStep(23, async (step) => {
          const weight = backend.uploadWeight(randomWeight(random, 'F32', 3, 4).weight);
          const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 4 });
          const x = step.upload(normals(2, 5));
          expect(() => step.linear(x, weight)).toThrow(/^SHAPE linear/);
          expect(() => step.linear(step.upload(normals(2, 4)), weight, step.upload(vector(4)))).toThrow(
            /^SHAPE linear/,
          );
          expect(() => step.embed(weight, Int32Array.of(3))).toThrow(/^TOKEN_ID_RANGE embed/);
          expect(() => step.embed(weight, Int32Array.of(-1))).toThrow(/^TOKEN_ID_RANGE embed/);
          expect(() => step.attention(x, cache, 0, { scale: 1 })).toThrow(/^SHAPE attention/);
          expect(() => step.appendToCache(cache, 0, x, x)).toThrow(/^SHAPE/);
          const odd = step.upload({ data: new Float32Array(12), shape: [1, 3, 4] });
          expect(() => step.patchEmbedding(odd, weight, 2)).toThrow(/^SHAPE patchEmbedding/);
          backend.free(weight);
          backend.free(cache);
        });
      });
    });

    it('reports itself', () => {
      const report = backend.report();
      expect(report.backend).toBe(backend.name);
      expect(report.threads).toBeGreaterThan(0);
      expect(report.acceleration).not.toBe('');
    });
  });
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (isPhi3Error(error)) return error.code;
    throw error;
  }
  return undefined;
}

function seesBlock(pattern: BlockSparsePattern, position: number, other: number, head: number): boolean {
  const own = Math.floor(position / pattern.blockSize);
  const block = Math.floor(other / pattern.blockSize);
  const isLocal = own - block < pattern.numLocalBlocks;
  return isLocal || (block + head * pattern.headStep + 1) % pattern.verticalStride === 0;
}

/** Compares every element with an allowance of its own, and names the one that misses it by most. */
function expectWithin(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  allowed: (index: number) => number,
  label: string,
): void {
  let worst = 0;
  let worstIndex = -1;
  for (let i = 0; i < expected.length; i++) {
    const excess = Math.abs(actual[i]! - expected[i]!) - allowed(i);
    // A NaN is never within.
    if (!(excess <= worst)) {
      worst = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess;
      worstIndex = i;
    }
  }
  expect(actual.length, `${label}: number of elements`).toBe(expected.length);
  if (worstIndex < 0) return;
  expect.fail(
    `${label}[${worstIndex}]: got ${actual[worstIndex]}, expected ${expected[worstIndex]}, ` +
      `allowed to be off by ${allowed(worstIndex)}`,
  );
}
