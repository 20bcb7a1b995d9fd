import { fileURLToPath } from 'node:url';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createByteSource } from '../create-byte-source.ts';
import { openFileSource } from '../node/open-file-source.ts';
import { ggmlTypeOfName, knownGgmlTypes } from './ggml-type.ts';
import type { GgufStoredType, GgufValue, TypedGgufValue } from './gguf-value.ts';
import { openGguf } from './open-gguf.ts';
import { encodeGguf, type GgufTensorInMemory, type GgufTensorToWrite, writeGguf } from './write-gguf.ts';

const open = (bytes: Uint8Array) => openGguf(createByteSource(bytes, 'written.gguf'));
const text = (value: string) => [value.length, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(value)];
const u32 = (value: number) => [value, 0, 0, 0];
const u64 = (value: number) => [value, 0, 0, 0, 0, 0, 0, 0];
const entry = (type: GgufStoredType, value: GgufValue): ReadonlyMap<string, TypedGgufValue> =>
  new Map([['k', { type, value }]]);
const tensor = (lies: object = {}) =>
  ({ name: 'a', format: 'F32', shape: [2], bytes: new Uint8Array(8), ...lies }) as GgufTensorInMemory;

describe('encodeGguf', () => {
  it('writes by hand', () => {
    const file = encodeGguf({
      metadata: new Map<string, TypedGgufValue>([['k', { type: 'uint8', value: 7 }]]),
      tensors: [tensor({ shape: [2, 1], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) })],
      alignment: 8,
    });
    const header = [
      ...[0x47, 0x47, 0x55, 0x46, ...u32(3), ...u64(1), ...u64(2)],
      ...[...text('k'), ...u32(0), 7],
      ...[...text('general.alignment'), ...u32(4), ...u32(8)],
      ...[...text('a'), ...u32(2), ...u64(1), ...u64(2), ...u32(0), ...u64(0)],
    ];
    while (header.length % 8 !== 0) header.push(0);
    expect([...file]).toEqual([...header, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it.each([
    ['a name twice', { tensors: [tensor(), tensor()] }, /ARGUMENT encodeGguf\(tensors\[1\]\.name\): .*got 'a'/],
    ['a name that llama.cpp cuts', { tensors: [tensor({ name: 'n'.repeat(64) })] }, /ARGUMENT .*1 to 63 bytes/],
    ['an empty name', { tensors: [tensor({ name: '' })] }, /ARGUMENT encodeGguf\(tensors\[0\]\.name\)/],
    ['a name that is no text', { tensors: [tensor({ name: '\ud800' })] }, /ARGUMENT .*lone surrogates/],
    ['an unknown format', { tensors: [tensor({ format: 'F8' })] }, /ARGUMENT encodeGguf\(tensors\[0\]\.format\)/],
    ['no dimension', { tensors: [tensor({ shape: [] })] }, /SHAPE encodeGguf\(shape\)/],
    ['a dimension of zero', { tensors: [tensor({ shape: [0], bytes: new Uint8Array(0) })] }, /SHAPE/],
    ['five dimensions', { tensors: [tensor({ shape: [1, 1, 1, 1, 2] })] }, /SHAPE/],
    ['a row that is no block', { tensors: [tensor({ format: 'Q8_0', shape: [32, 2] })] }, /SHAPE .*multiple of 32/],
    ['too few bytes', { tensors: [tensor({ bytes: new Uint8Array(7) })] }, /SHAPE encodeGguf\(bytes\).*'7 bytes'/],
    ['an odd alignment', { alignment: 24 }, /ARGUMENT encodeGguf\(alignment\)/],
    [
      'two alignments',
      { alignment: 64, metadata: new Map([['general.alignment', { type: 'uint32', value: 32 }]]) },
      /ARGUMENT encodeGguf\(alignment\).*general\.alignment/,
    ],
    ['an empty key', { metadata: new Map([['', { type: 'bool', value: true }]]) }, /ARGUMENT encodeGguf\(metadata\)/],
    ['256 as uint8', { metadata: entry('uint8', 256) }, /ARGUMENT encodeGguf\(metadata\).*uint8.*key k/],
    ['−1 as uint64', { metadata: entry('uint64', -1) }, /uint64/],
    ['half as int32', { metadata: entry('int32', 0.5) }, /int32/],
    ['an inexact int64', { metadata: entry('int64', 2 ** 60) }, /as bigint beyond 2\^53/],
    ['a number as text', { metadata: entry('string', 1) }, /a string/],
    ['a text of half a character', { metadata: entry('string', '\udc00') }, /lone surrogates/],
    ['numbers of another class', { metadata: entry('float32[]', new Float64Array(1)) }, /an array of float32/],
    ['strings among booleans', { metadata: entry('bool[]', ['x'] as never) }, /true or false/],
    ['an unknown type', { metadata: entry('float16' as never, 1) }, /a value type of GGUF/],
    ['an unknown option', { alignement: 8 }, /OPTION_UNKNOWN/],
  ])('rejects %s', (_, lies, message) => {
    const contents = { metadata: new Map(), tensors: [], ...lies };
    expect(() => encodeGguf(contents as never)).toThrow(message);
  });

  it('rejects nesting deeper than the reader goes', () => {
    expect(() => encodeGguf({ metadata: entry('array[]', [[[[[1]]]]] as never), tensors: [] })).toThrow(/4 deep/);
  });
});

const arrays: readonly [type: GgufStoredType, values: fc.Arbitrary<GgufValue>][] = [
  ['uint8', fc.integer({ min: 0, max: 255 })],
  ['int8', fc.integer({ min: -128, max: 127 })],
  ['uint16', fc.integer({ min: 0, max: 65535 })],
  ['int16', fc.integer({ min: -32768, max: 32767 })],
  ['uint32', fc.integer({ min: 0, max: 2 ** 32 - 1 })],
  ['int32', fc.integer()],
  ['float32', fc.float()],
  ['float64', fc.double()],
  ['bool', fc.boolean()],
  ['string', fc.string({ unit: 'binary' })],
  ['uint64', fc.oneof(fc.maxSafeNat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }))],
  ['int64', fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }))],
  ['uint8[]', fc.uint8Array()],
  ['int8[]', fc.int8Array()],
  ['uint16[]', fc.uint16Array()],
  ['int16[]', fc.int16Array()],
  ['uint32[]', fc.uint32Array()],
  ['int32[]', fc.int32Array()],
  ['float32[]', fc.float32Array()],
  ['float64[]', fc.float64Array()],
  ['uint64[]', fc.bigUint64Array()],
  ['int64[]', fc.bigInt64Array()],
  ['bool[]', fc.array(fc.boolean())],
  ['string[]', fc.array(fc.string({ unit: 'binary' }))],
  ['array[]', fc.array(fc.oneof(fc.int16Array(), fc.array(fc.string()), fc.array(fc.uint8Array())))],
];

const metadataArbitrary = fc
  .uniqueArray(
    fc.tuple(
      fc.string({ minLength: 1, unit: 'binary' }).filter((key) => key !== 'general.alignment'),
      fc.oneof(...arrays.map(([type, values]) => values.map((value): TypedGgufValue => ({ type, value })))),
    ),
    { selector: ([key]) => key, maxLength: 12 },
  )
  .map((entries) => new Map(entries));

const tensorArbitrary = fc
  .tuple(
    fc.stringMatching(/^[a-z_.0-9]{1,63}$/),
    fc.constantFrom(...knownGgmlTypes()),
    fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.nat(255),
  )
  .map(([name, format, outer, blocks, fill]): GgufTensorInMemory => {
    const { weightsPerBlock, bytesPerBlock } = ggmlTypeOfName(format)!;
    const rows = outer.reduce((product, size) => product * size, 1);
    const bytes = Uint8Array.from({ length: rows * blocks * bytesPerBlock }, (_, i) => (fill + 7 * i) & 255);
    return { name, format, shape: [...outer, blocks * weightsPerBlock], bytes };
  });

describe('what is written is read back', () => {
  it('value for value, type for type, tensor for tensor, whatever is written', async () => {
    await fc.assert(
      fc.asyncProperty(
        metadataArbitrary,
        fc.uniqueArray(tensorArbitrary, { selector: ({ name }) => name, maxLength: 6 }),
        fc.constantFrom(undefined, 8, 32, 256),
        async (metadata, tensors, alignment) => {
          const gguf = await open(encodeGguf({ metadata, tensors, alignment }));
          const expected = new Map(metadata);
          if (alignment !== undefined && alignment !== 32) {
            expected.set('general.alignment', { type: 'uint32', value: alignment });
          }
          expect([...gguf.metadata.keys()]).toEqual([...expected.keys()]);
          for (const [key, { type, value }] of expected) {
            expect(gguf.metadata.typeOf(key)).toBe(type);
            expect(gguf.metadata.get(key)).toEqual(value);
          }
          expect([...gguf.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
          for (const { name, format, shape, bytes } of tensors) {
            expect(gguf.tensors.get(name)).toMatchObject({ format, shape });
            expect(await gguf.readBytes(name)).toEqual(bytes);
          }
        },
      ),
      { seed: 20261121, numRuns: 150 },
    );
  });

  it('and reading and writing a file of gguf-py again changes no byte', async () => {
    const path = fileURLToPath(new URL('../../test/golden/gguf-py.gguf', import.meta.url));
    const source = await openFileSource(path);
    const original = await source.read(0, source.sizeInBytes);
    const gguf = await openGguf(source);
    const written = encodeGguf({ metadata: typed(gguf.metadata), tensors: await tensorsOf(gguf) });
    await gguf.close();
    expect(Buffer.from(original).equals(written)).toBe(true);
  });

  describeWithShared('a file of llama.cpp', 'tokenizers/gguf/ggml-vocab-phi-3.gguf', () => {
    it('keeps its header byte for byte', async () => {
      const source = await openFileSource(sharedPath('tokenizers/gguf/ggml-vocab-phi-3.gguf'));
      const original = await source.read(0, source.sizeInBytes);
      const gguf = await openGguf(source);
      const written = encodeGguf({ metadata: typed(gguf.metadata), tensors: [] });
      await gguf.close();
      // That file may end without the padding.
      expect(Buffer.from(original).equals(written.subarray(0, original.length))).toBe(true);
    });
  });
});

const typed = (metadata: Awaited<ReturnType<typeof open>>['metadata']) =>
  new Map([...metadata].map(([key, value]) => [key, { type: metadata.typeOf(key)!, value }]));

async function tensorsOf(gguf: Awaited<ReturnType<typeof open>>): Promise<GgufTensorInMemory[]> {
  const tensors: GgufTensorInMemory[] = [];
  for (const { name, format, shape } of gguf.tensors.values()) {
    tensors.push({ name, format, shape, bytes: await gguf.readBytes(name) });
  }
  return tensors;
}

describe('writeGguf', () => {
  function createMemorySink() {
    const pieces: Uint8Array[] = [];
    return { pieces, write: async (bytes: Uint8Array) => void pieces.push(bytes.slice()) };
  }

  it('writes the same file as encodeGguf, asking for one tensor at a time', async () => {
    const asked: string[] = [];
    const sink = createMemorySink();
    const list = ['b', 'c'].map((name, index) => tensor({ name, bytes: new Uint8Array(8).fill(index + 1) }));
    const lazy = list.map((item): GgufTensorToWrite => {
      const bytes = async () => {
        asked.push(`${item.name} after ${sink.pieces.length} pieces`);
        return item.bytes;
      };
      return { ...item, bytes };
    });
    const metadata = entry('string', 'phi3');
    const written = await writeGguf(sink, { metadata, tensors: lazy });
    expect(asked).toEqual(['b after 1 pieces', 'c after 3 pieces']); // header, bytes, padding
    const file = encodeGguf({ metadata, tensors: list });
    expect(Buffer.concat(sink.pieces).equals(file)).toBe(true);
    expect(written).toBe(file.length);
  });

  it('checks every description before the first byte goes out, and bytes that come late', async () => {
    const sink = createMemorySink();
    const contents = { metadata: new Map(), tensors: [tensor(), tensor({ name: 'b', shape: [0] })] };
    await expect(writeGguf(sink, contents)).rejects.toMatchObject({ code: 'SHAPE', where: { tensor: 'b' } });
    expect(sink.pieces).toHaveLength(0);
    const late = { metadata: new Map(), tensors: [{ ...tensor(), bytes: async () => new Uint8Array(9) }] };
    await expect(writeGguf(sink, late)).rejects.toMatchObject({ code: 'SHAPE', where: { tensor: 'a' } });
    expect(sink.pieces).toHaveLength(1);
  });
});
