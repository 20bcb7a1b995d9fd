import type { Backend } from '@phiblocks/tensor';
import { describeWithShared, loadGolden } from '@phiblocks/testing';
import { createByteSource, encodeSafetensors, openSafetensors } from '@phiblocks/weights';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  collect,
  createLanguageModel,
  createReferenceBackend,
  type LanguageModel,
  type SessionOptions,
} from '../src/index.ts';
import { loadModel } from '../src/node.ts';
import { openTinyCheckpoint, type tinyConfig, tinyLongRope } from './tiny-checkpoint.ts';

const tinyModel = async (overrides: Partial<typeof tinyConfig> = {}, seed = 1) =>
  createLanguageModel(await openTinyCheckpoint(overrides, seed));
const tokens = (length: number) => Array.from({ length }, (_, i) => 3 + ((i * 37) % 290));
const continuation = async (model: LanguageModel, bytes: Uint8Array, ids: number[], options?: SessionOptions) => {
  const session = await model.restoreSession(bytes, options);
  const { data } = await session.advance(ids, { logits: 'all' });
  const held = [...session.ids];
  session.dispose();
  return { data, held };
};

describe('a saved session', () => {
  it.each([
    ['plain RoPE', {}],
    ['LongRoPE with its boundary at 16', tinyLongRope],
    ['a window of 5', { sliding_window: 5 }],
  ])('goes on as if nothing had happened, to the bit: %s', async (_, overrides) => {
    const model = await tinyModel(overrides);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom('reference', 'rerotate', 'capacity', 'short', 'long'),
        async (length, more, ropePolicy) => {
          const session = model.createSession({ ropePolicy });
          if (length > 0) await session.advance(tokens(length));
          const bytes = await session.save();
          const next = tokens(length + more).slice(length);
          const { data } = await session.advance(next, { logits: 'all' });
          expect(await continuation(model, bytes, next)).toEqual({ data, held: [...session.ids] });
          const again = await continuation(model, await (await model.restoreSession(bytes)).save(), next);
          expect(again.data).toEqual(data);
          session.dispose();
        },
      ),
      { seed: 2026, numRuns: 25 },
    );
  });

  it('after a rewind over the LongRoPE boundary still knows which list rotated its keys', async () => {
    const model = await tinyModel(tinyLongRope);
    const session = model.createSession();
    await session.advance(tokens(20));
    session.truncate(10);
    const bytes = await session.save();
    const { data } = await session.advance([70], { logits: 'all' });
    expect((await continuation(model, bytes, [70])).data).toEqual(data);
  });

  it.each([
    ['float32', {}, { kvCache: 'f32' }],
    ['float16', {}, { kvCache: 'f16' }],
    ['int8', {}, { kvCache: 'q8' }],
    ['int8, a window of 5', { sliding_window: 5 }, { kvCache: 'q8' }],
    ['LongRoPE', tinyLongRope, { kvCache: 'f16' }],
    ['weights in a second memory', {}, { kvCache: 'f32', memories: 2 }],
    ['no SIMD', {}, { kvCache: 'q8', simd: 'none' }],
  ] as const)('on WebAssembly goes on to the bit: %s', async (_, overrides, backendOptions) => {
    const model = await createLanguageModel(await openTinyCheckpoint(overrides), {
      backend: 'wasm',
      threads: 2,
      backendOptions,
    });
    for (const length of [0, 1, 33]) {
      const session = model.createSession();
      if (length > 0) await session.advance(tokens(length));
      const bytes = await session.save();
      const next = tokens(length + 6).slice(length);
      const { data } = await session.advance(next, { logits: 'all' });
      expect(await continuation(model, bytes, next)).toEqual({ data, held: [...session.ids] });
      session.dispose();
    }
    await model.dispose();
  });

  it('moves to another backend where its cache holds the numbers as they are, and nowhere else', async () => {
    const onWasm = async (kvCache: 'f32' | 'f16' | 'q8') =>
      createLanguageModel(await openTinyCheckpoint(), {
        backend: 'wasm',
        threads: 1,
        backendOptions: { kvCache },
      });
    const models = {
      reference: await tinyModel(),
      f32: await onWasm('f32'),
      f16: await onWasm('f16'),
      q8: await onWasm('q8'),
    };
    const next = tokens(26).slice(20);
    const saved = new Map<string, { bytes: Uint8Array; data: Float32Array }>();
    for (const [name, model] of Object.entries(models)) {
      const session = model.createSession();
      await session.advance(tokens(20));
      const bytes = await session.save();
      saved.set(name, { bytes, data: (await session.advance(next, { logits: 'all' })).data });
    }
    for (const [from, { bytes, data }] of saved) {
      for (const [to, model] of Object.entries(models)) {
        if (to !== from && (to === 'f16' || to === 'q8')) {
          const error = { code: 'SESSION_MISMATCH', argument: 'kvCache' };
          await expect(model.restoreSession(bytes), `${from} to ${to}`).rejects.toMatchObject(error);
          continue;
        }
        // Logits of a few units. A cache of int8 is kept, but new positions are float32 there; the other ways differ by rounding.
        const allowed = from === 'q8' ? 0.1 : from === 'f16' ? 0.01 : 1e-4;
        const moved = await continuation(model, bytes, next);
        const largest = Math.max(...moved.data.map((value, i) => Math.abs(value - data[i]!)));
        expect(largest, `${from} to ${to}`).toBeLessThanOrEqual(to === from ? 0 : allowed);
      }
    }
    for (const model of Object.values(models)) await model.dispose();
  });

  it('of its tokens only is smaller and restored by running them, on every backend', async () => {
    const model = await createLanguageModel(await openTinyCheckpoint(), { backend: 'wasm', threads: 2 });
    const session = model.createSession();
    const promptIds = tokens(12);
    const first = await collect(session.generate({ promptIds, maxNewTokens: 6, ignoreEos: true }));
    const bytes = await session.save({ contents: 'ids' });
    expect(bytes.length).toBeLessThan(1000);
    const next = { promptIds: [...promptIds, ...first.ids, 9], maxNewTokens: 10, ignoreEos: true };
    const restored = await model.restoreSession(bytes);
    expect(restored.ids).toEqual(session.ids);
    const [expected, got] = [await collect(session.generate(next)), await collect(restored.generate(next))];
    expect(got.ids).toEqual(expected.ids);
    expect(got.usage).toEqual(expected.usage);
    const reference = await tinyModel();
    expect((await reference.restoreSession(bytes)).ids).toEqual(tokens(12).concat([...first.ids.slice(0, -1)]));
    await model.dispose();
  });

  it('contents of a cache that the backend cannot read are an error', async () => {
    const backend = createReferenceBackend();
    const model = await createLanguageModel(await openTinyCheckpoint(), {
      backend: { ...backend, readCache: undefined } as Backend,
    });
    const session = model.createSession();
    await session.advance(tokens(3));
    await expect(session.save()).rejects.toMatchObject({ code: 'UNSUPPORTED', got: 'reference' });
    expect((await model.restoreSession(await session.save({ contents: 'ids' }))).ids).toEqual(tokens(3));
  });

  it('keeps its context length, or takes a longer one', async () => {
    const model = await tinyModel();
    const session = model.createSession({ contextLength: 12 });
    await session.advance(tokens(10));
    const bytes = await session.save();
    expect((await model.restoreSession(bytes)).contextLength).toBe(12);
    expect((await model.restoreSession(bytes, { contextLength: 40 })).contextLength).toBe(40);
    await expect(model.restoreSession(bytes, { contextLength: 9 })).rejects.toMatchObject({ code: 'SESSION_FILE' });
  });

  it('of another model, policy or room is an error', async () => {
    const model = await tinyModel(tinyLongRope);
    const session = model.createSession({ ropePolicy: 'capacity', contextLength: 20 });
    await session.advance(tokens(5));
    const bytes = await session.save();
    const mismatch = (argument: string) => ({ code: 'SESSION_MISMATCH', argument });
    const others = [await tinyModel(tinyLongRope, 2), await tinyModel({ ...tinyLongRope, rms_norm_eps: 1e-6 })];
    for (const other of others) await expect(other.restoreSession(bytes)).rejects.toMatchObject(mismatch('model'));
    const { restoreSession } = model;
    await expect(restoreSession(bytes, { ropePolicy: 'reference' })).rejects.toMatchObject(mismatch('ropePolicy'));
    await expect(restoreSession(bytes, { contextLength: 30 })).rejects.toMatchObject(mismatch('contextLength'));
  });

  it('that is broken is an error, and nothing is left behind', async () => {
    const backend = createReferenceBackend();
    const model = await createLanguageModel(await openTinyCheckpoint(), { backend });
    const live = () => backend.liveHandles();
    const session = model.createSession();
    await session.advance(tokens(5));
    const bytes = await session.save();
    const before = live();
    const source = await openSafetensors(createByteSource(bytes, 'session'));
    const rebuilt = async (change: { metadata?: Record<string, string>; without?: string; ids?: number[] }) => {
      const tensors = [];
      for (const { name, format, shape } of source.tensors.values()) {
        if (name === change.without) continue;
        const ids = name === 'ids' && change.ids;
        tensors.push({
          name,
          dtype: format as 'F32',
          shape: ids ? [ids.length] : [...shape],
          bytes: ids ? new Uint8Array(Int32Array.from(ids).buffer) : await source.readBytes(name),
        });
      }
      return encodeSafetensors(tensors, { metadata: { ...Object.fromEntries(source.metadata), ...change.metadata } });
    };
    expect((await model.restoreSession(await rebuilt({}))).ids).toEqual(session.ids);
    const handles = live();
    for (const [change, code] of [
      [{ metadata: { format: 'other' } }, 'SESSION_FILE'],
      [{ metadata: { contents: 'all' } }, 'SESSION_FILE'],
      [{ metadata: { contextLength: '-3' } }, 'SESSION_FILE'],
      [{ metadata: { contextLength: '100000' } }, 'ARGUMENT'],
      [{ metadata: { rotatedForLength: '1' } }, 'SESSION_FILE'],
      [{ metadata: { rotatedForLength: '999' } }, 'SESSION_FILE'],
      [{ metadata: { ropePolicy: 'longest' } }, 'ARGUMENT'],
      [{ without: 'ids' }, 'SESSION_FILE'],
      [{ without: 'layers.1.values' }, 'SESSION_FILE'],
      [{ ids: [1, 2, 3, 4] }, 'SESSION_FILE'],
      [{ ids: [1, 2, 3, 4, 300] }, 'TOKEN_ID_RANGE'],
    ] as const) {
      await expect(model.restoreSession(await rebuilt(change as object)), JSON.stringify(change)).rejects.toMatchObject(
        { code },
      );
    }
    await expect(model.restoreSession(bytes.subarray(0, 40))).rejects.toMatchObject({
      code: expect.stringMatching(/^ST_/),
    });
    expect(live()).toBe(handles);
    expect(handles).toBe(before + 1);
    await expect(session.save({ contents: 'all' as 'ids' })).rejects.toMatchObject({ code: 'ARGUMENT' });
    await expect(session.save({ content: 'ids' } as object)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    session.dispose();
    await expect(session.save()).rejects.toMatchObject({ code: 'SESSION_DISPOSED' });
  });
});

describeWithShared('a saved session of a golden model', 'goldens/phi3-longrope-a', () => {
  it('writes the golden tokens after it was restored', async () => {
    const golden = loadGolden('phi3-longrope-a');
    const run = golden.description.runs![0]!.name;
    const model = await loadModel(golden.path, { backend: 'reference' });
    const promptIds = [...golden.tensor(`${run}/input_ids`).data];
    const expected = [...golden.tensor(`${run}/greedy_ids`).data];
    const session = model.createSession();
    await collect(session.generate({ promptIds, maxNewTokens: 6, ignoreEos: true }));
    const restored = await model.restoreSession(await session.save());
    const next = { promptIds: [...promptIds, ...expected.slice(0, 6)], maxNewTokens: 10, ignoreEos: true };
    const end = await collect(restored.generate(next));
    expect(end.ids).toEqual(expected.slice(6, 16));
    expect(end.usage.cachedPromptTokens).toBe(promptIds.length + 5);
    await model.dispose();
  });
});
