import type { RopePolicy } from '@phiblocks/longrope';
import { ArgumentError, type CacheFormat, encodeFloats, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import {
  createByteSource,
  encodeSafetensors,
  openSafetensors,
  type SafetensorsSource,
  type TensorInMemory,
} from '@phiblocks/weights';
import type { LanguageModel } from './language-model.ts';
import { createSequence, expectTokenIds, type Sequence, type SequenceOptions } from './sequence.ts';

// A saved session is a safetensors file: `ids` (I32), `layers.N.keys` and `layers.N.values` (F32, `[S, K·D]`), and in its
// metadata what they belong to.

export interface SaveOptions {
  /**
   * `cache` keeps keys and values: large, and restored at once. `ids` keeps the tokens only: small, and run again when
   * restored. Default `cache`.
   */
  readonly contents?: 'cache' | 'ids' | undefined;
}

const format = 'phiblocks-session-1';

/** @throws Phi3Error `UNSUPPORTED` for the contents of a cache that the backend cannot read, and for a session with images */
export async function saveSequence(
  model: LanguageModel,
  sequence: Sequence,
  options: SaveOptions = {},
): Promise<Uint8Array> {
  expectKnownOptions('save', options, ['contents']);
  const { contents = 'cache' } = options;
  if (contents !== 'cache' && contents !== 'ids') {
    throw new ArgumentError({ function: 'save', argument: 'contents', expected: 'cache or ids', got: contents });
  }
  const { backend } = model.network;
  const { cache, rotatedForLength } = sequence.inside();
  const ids = Int32Array.from(sequence.ids);
  if (ids.some((id) => id < 0)) {
    throw new Phi3Error({
      code: 'UNSUPPORTED',
      function: 'save',
      expected: 'a session without images',
      hint: 'Give the whole prompt with its images again instead.',
    });
  }
  const tensors: TensorInMemory[] = [
    { name: 'ids', dtype: 'I32', shape: [ids.length], bytes: new Uint8Array(ids.buffer) },
  ];
  if (contents === 'cache') {
    if (!backend.readCache) {
      throw new Phi3Error({
        code: 'UNSUPPORTED',
        function: 'save',
        expected: 'a backend whose cache can be read',
        got: backend.name,
        hint: "Save with { contents: 'ids' }: the tokens are then run again when the session is restored.",
      });
    }
    for (let layer = 0; layer < cache.numLayers; layer++) {
      const parts = await backend.readCache(cache, layer);
      for (const name of ['keys', 'values'] as const) {
        const { data, shape } = parts[name];
        tensors.push({ name: `layers.${layer}.${name}`, dtype: 'F32', shape, bytes: encodeFloats(data, 'F32') });
      }
    }
  }
  return encodeSafetensors(tensors, {
    metadata: {
      format,
      contents,
      model: await model.fingerprint(),
      backend: backend.name,
      cacheFormat: cache.format ?? 'f32',
      ropePolicy: sequence.ropePolicy,
      contextLength: String(sequence.contextLength),
      rotatedForLength: String(rotatedForLength),
    },
  });
}

/**
 * Opens a sequence with what was saved.
 *
 * @throws Phi3Error `SESSION_FILE` for bytes that are no saved session, `SESSION_MISMATCH` for one of another model or policy, or
 * with contents that the cache here would round; the codes of safetensors files; `TOKEN_ID_RANGE`
 */
export async function restoreSequence(
  model: LanguageModel,
  bytes: Uint8Array,
  options: SequenceOptions = {},
): Promise<Sequence> {
  const source = await openSafetensors(createByteSource(bytes, 'session'));
  const saved = await readDescription(source);
  expectSame('model', saved.model, await model.fingerprint());
  if (options.ropePolicy !== undefined) expectSame('ropePolicy', saved.ropePolicy, options.ropePolicy);
  // Under `capacity` the room itself chose the list that rotated the keys.
  if (options.contextLength !== undefined && saved.ropePolicy === 'capacity') {
    expectSame('contextLength', saved.contextLength, options.contextLength);
  }
  expectTokenIds('restoreSession', saved.ids, model.config.vocabSize);

  const sequence = createSequence(model.network, {
    contextLength: saved.contextLength,
    ...options,
    ropePolicy: saved.ropePolicy as RopePolicy, // an unknown one is an error of createSequence
  });
  try {
    if (saved.ids.length > sequence.contextLength || saved.rotatedForLength > model.config.maxPositionEmbeddings) {
      throw sessionFile(`at most ${sequence.contextLength} tokens`, saved.ids.length);
    }
    if (saved.ids.length === 0) return sequence;
    if (saved.contents === 'ids') {
      await sequence.advance(saved.ids, { sequenceLength: saved.rotatedForLength });
    } else {
      await fillCache(sequence, model, source, { length: saved.ids.length, cacheFormat: saved.cacheFormat });
      sequence.adopt(saved.ids, saved.rotatedForLength);
    }
    return sequence;
  } catch (error) {
    sequence.dispose();
    throw error;
  }
}

async function fillCache(
  sequence: Sequence,
  model: LanguageModel,
  source: SafetensorsSource,
  { length, cacheFormat }: { length: number; cacheFormat: string },
): Promise<void> {
  const { cache } = sequence.inside();
  const width = cache.numKeyValueHeads * cache.headDim;
  expectHolds(cache.format ?? 'f32', cacheFormat);
  const step = model.network.backend.beginStep();
  try {
    for (let layer = 0; layer < cache.numLayers; layer++) {
      const [keys, values] = await Promise.all(
        ['keys', 'values'].map(async (part) => {
          const name = `layers.${layer}.${part}`;
          const stored = source.tensors.get(name);
          if (stored?.format !== 'F32' || stored.shape.join() !== `${length},${width}`) {
            throw sessionFile(`${name}: F32 [${length}, ${width}]`, stored && `${stored.format} [${stored.shape}]`);
          }
          return step.upload(await source.readFloats(name));
        }),
      );
      step.appendToCache(cache, layer, keys!, values!);
      step.keepOnly([]);
    }
    step.commit(cache, length);
  } finally {
    step.end();
  }
}

async function readDescription(source: SafetensorsSource) {
  const { metadata } = source;
  const text = (name: string): string => {
    const value = metadata.get(name);
    if (value === undefined) throw sessionFile(`${name} in its metadata`, undefined);
    return value;
  };
  const length = (name: string): number => {
    const value = text(name);
    if (!/^\d{1,9}$/.test(value)) throw sessionFile(`${name}: a whole number`, value);
    return Number(value);
  };
  if (text('format') !== format) throw sessionFile(`format ${format}`, text('format'));
  const contents = text('contents');
  if (contents !== 'cache' && contents !== 'ids') throw sessionFile('contents: cache or ids', contents);
  const stored = source.tensors.get('ids');
  if (stored?.format !== 'I32' || stored.shape.length !== 1) throw sessionFile('ids: I32 [S]', stored?.format);
  const bytes = await source.readBytes('ids');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ids = Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(4 * i, true));
  const rotatedForLength = length('rotatedForLength');
  if (rotatedForLength < ids.length) throw sessionFile(`rotatedForLength from ${ids.length} up`, rotatedForLength);
  return {
    contents,
    ids,
    rotatedForLength,
    model: text('model'),
    cacheFormat: text('cacheFormat'),
    ropePolicy: text('ropePolicy'),
    contextLength: length('contextLength'),
  };
}

function sessionFile(expected: string, got: unknown): Phi3Error {
  return new Phi3Error({ code: 'SESSION_FILE', function: 'restoreSession', expected, got });
}

/** A float32 cache holds what any other held; the others would round what is not theirs. */
function expectHolds(present: CacheFormat, saved: string): void {
  if (saved === present || present === 'f32') return;
  throw new Phi3Error({
    code: 'SESSION_MISMATCH',
    function: 'restoreSession',
    argument: 'kvCache',
    expected: `${present} or less, as the cache is here`,
    got: saved,
    hint: `Choose the cache ${saved} or f32, or save with { contents: 'ids' }.`,
  });
}

function expectSame(argument: string, saved: string | number, present: string | number): void {
  if (saved === present) return;
  throw new Phi3Error({
    code: 'SESSION_MISMATCH',
    function: 'restoreSession',
    argument,
    expected: `${present}, as it is here`,
    got: saved,
    hint: 'Keys and values mean something to the model and policy that made them only.',
  });
}
