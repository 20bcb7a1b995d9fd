import { readFileSync } from 'node:fs';
import { isPhi3Error, type WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom, describeWithShared, forgeGguf, ggml, sharedPath } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCountingSource } from '../../test/counting-source.ts';
import { createByteSource } from '../create-byte-source.ts';
import { weightSizeInBytes } from '../formats/block-layout.ts';
import { decodeTensor } from '../formats/weight-formats.ts';
import { ggufVocabulary, untrustedChatTemplate } from './gguf-vocabulary.ts';
import { openGguf } from './open-gguf.ts';

const random = createSeededRandom(1);
const randomBytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => random.integer(256));
const open = (bytes: Uint8Array) => openGguf(createByteSource(bytes, 'test.gguf'));

describe('what a file says', () => {
  it('every type of metadata value', async () => {
    const { metadata } = await open(
      forgeGguf({
        metadata: [
          ['u8', { type: 'uint8', value: 255 }],
          ['i8', { type: 'int8', value: -1 }],
          ['u16', { type: 'uint16', value: 65535 }],
          ['i16', { type: 'int16', value: -2 }],
          ['u32', { type: 'uint32', value: 4294967295 }],
          ['i32', { type: 'int32', value: -3 }],
          ['f32', { type: 'float32', value: 0.1 }],
          ['f64', { type: 'float64', value: 0.1 }],
          ['u64', { type: 'uint64', value: 2n ** 53n - 1n }],
          ['u64 too large for a number', { type: 'uint64', value: 2n ** 64n - 1n }],
          ['i64', { type: 'int64', value: -(2n ** 53n) }],
          ['bool', { type: 'bool', value: true }],
          ['string', { type: 'string', value: '\ufeffé▁\0' }],
          ['strings', { type: 'array', of: 'string', values: ['', 'a', 'ß'] }],
          ['floats', { type: 'array', of: 'float32', values: [1, -0.5] }],
          ['ints', { type: 'array', of: 'int32', values: [1, -1] }],
          ['longs', { type: 'array', of: 'uint64', values: [1n, 2n ** 64n - 1n] }],
          ['bools', { type: 'array', of: 'bool', values: [true, false] }],
          [
            'nested',
            {
              type: 'array',
              of: 'array',
              values: [
                ['uint8', [1, 2]],
                ['string', ['x']],
              ],
            },
          ],
          ['empty', { type: 'array', of: 'string', values: [] }],
          ['__proto__', { type: 'string', value: 'only a key' }],
        ],
      }),
    );
    expect([...metadata]).toEqual([
      ['u8', 255],
      ['i8', -1],
      ['u16', 65535],
      ['i16', -2],
      ['u32', 4294967295],
      ['i32', -3],
      ['f32', Math.fround(0.1)],
      ['f64', 0.1],
      ['u64', 2 ** 53 - 1],
      ['u64 too large for a number', 2n ** 64n - 1n],
      ['i64', -(2n ** 53n)],
      ['bool', true],
      ['string', '\ufeffé▁\0'],
      ['strings', ['', 'a', 'ß']],
      ['floats', new Float32Array([1, -0.5])],
      ['ints', new Int32Array([1, -1])],
      ['longs', new BigUint64Array([1n, 2n ** 64n - 1n])],
      ['bools', [true, false]],
      ['nested', [new Uint8Array([1, 2]), ['x']]],
      ['empty', []],
      ['__proto__', 'only a key'],
    ]);
    expect(metadata.typeOf('ints')).toBe('int32[]');
    expect(metadata.typeOf('nested')).toBe('array[]');
    expect(metadata.typeOf('no such key')).toBeUndefined();
    expect(metadata.getInteger('u8')).toBe(255);
    expect(metadata.getNumber('f32')).toBe(Math.fround(0.1));
    expect(metadata.getBoolean('bool')).toBe(true);
    expect(metadata.getString('__proto__')).toBe('only a key');
    expect(metadata.getStringArray('empty')).toEqual([]);
    expect(metadata.getFloat32Array('floats')[1]).toBe(-0.5);
    expect(metadata.getIntegerArray('ints')[1]).toBe(-1);
    expect(metadata.findNumber('no such key')).toBeUndefined();
  });

  it.each([2, 3] as const)(
    'version %i; shapes outermost first, offsets from the start of the file',
    async (version) => {
      const bytes = new Uint8Array(2 * 3 * 5 * 4);
      const gguf = await open(
        forgeGguf({
          version,
          alignment: 64,
          metadata: [['general.alignment', { type: 'uint32', value: 64 }]],
          tensors: [
            { name: 'a', shape: [7], type: ggml.F32, sizeInBytes: 28 },
            { name: 'b', shape: [2, 3, 5], type: ggml.F32, bytes },
          ],
        }),
      );
      expect(gguf.version).toBe(version);
      expect(gguf.alignment).toBe(64);
      const b = gguf.tensors.get('b')!;
      expect(b).toEqual({
        name: 'b',
        format: 'F32',
        shape: [2, 3, 5],
        file: 'test.gguf',
        offset: 256,
        sizeInBytes: 120,
      });
      expect(gguf.warnings).toEqual([]);
    },
  );

  const readable: WeightFormat[] = [
    'F32',
    'F16',
    'BF16',
    'Q8_0',
    'Q4_0',
    'Q4_1',
    'Q5_0',
    'Q5_1',
    'Q4_K',
    'Q5_K',
    'Q6_K',
  ];
  it.each(readable)('%s as bytes, as a matrix and as floats', async (format) => {
    const stored = randomBytes(weightSizeInBytes(format, [3, 256]));
    const type = (ggml as Record<string, number>)[format]!;
    const gguf = await open(
      forgeGguf({
        tensors: [
          { name: 'before', shape: [1], type: ggml.F32, sizeInBytes: 4 },
          { name: 'w', shape: [3, 256], type, bytes: stored },
        ],
      }),
    );
    expect(gguf.tensors.get('w')!.format).toBe(format);
    expect(await gguf.readBytes('w')).toEqual(stored);
    const into = new Uint8Array(stored.length);
    expect(await gguf.readBytes('w', into)).toBe(into);
    const expected = decodeTensor(format, [3, 256], stored);
    expect(await gguf.readFloats('w')).toEqual(expected);
    const matrix = await gguf.readMatrix('w');
    const row = new Float32Array(256);
    matrix.dequantizeRow(2, row);
    expect(row).toEqual(expected.data.subarray(512));
  });

  it('floats of a tensor that is larger than a piece', async () => {
    const shape = [300, 8192] as const; // 5.2 MB of Q8_0
    const bytes = new Uint8Array(weightSizeInBytes('Q8_0', shape));
    for (let i = 0; i < bytes.length; i++) bytes[i] = i % 34 === 1 ? 0x3c : (i * 31) & 0x7f; // scales near 1
    const gguf = await open(forgeGguf({ tensors: [{ name: 'w', shape, type: ggml.Q8_0, bytes }] }));
    const floats = await gguf.readFloats('w');
    expect(floats.data.every((value, i) => value === decodeAt(i))).toBe(true);
    function decodeAt(i: number): number {
      const block = Math.floor(i / 32) * 34;
      const scale = 1 + (bytes[block]! + 0) / 1024; // 0x3c00 + low byte
      return Math.fround(scale * bytes[block + 2 + (i % 32)]!);
    }
  });

  it('a type that cannot be read is listed, with its size, and gives its bytes', async () => {
    const bytes = randomBytes(2 * 74);
    const gguf = await open(forgeGguf({ tensors: [{ name: 'w', shape: [2, 256], type: ggml.IQ2_XS, bytes }] }));
    expect(gguf.tensors.get('w')).toMatchObject({ format: 'IQ2_XS', sizeInBytes: 148 });
    expect(await gguf.readBytes('w')).toEqual(bytes);
    await expect(gguf.readFloats('w')).rejects.toMatchObject({ code: 'GG_TYPE_UNSUPPORTED', where: { tensor: 'w' } });
    await expect(gguf.readMatrix('w')).rejects.toMatchObject({ code: 'GG_TYPE_UNSUPPORTED' });
  });

  it('names that are not there, and tensors that are no matrix', async () => {
    const gguf = await open(forgeGguf({ tensors: [{ name: 'v', shape: [8], type: ggml.F32, sizeInBytes: 32 }] }));
    for (const read of [gguf.readBytes, gguf.readFloats, gguf.readMatrix]) {
      await expect(read('w')).rejects.toMatchObject({ code: 'TENSOR_NOT_FOUND', got: 'w' });
    }
    await expect(gguf.readMatrix('v')).rejects.toMatchObject({ code: 'SHAPE' });
    await expect(gguf.readBytes('v', new Uint8Array(31))).rejects.toMatchObject({ code: 'SHAPE' });
  });

  it('options', async () => {
    const source = createCountingSource(forgeGguf({}));
    await expect(openGguf(source, { maxHeaderSize: 1 } as object)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(openGguf(source, { maxHeaderSizeInBytes: Number.NaN })).rejects.toMatchObject({ code: 'ARGUMENT' });
    await expect(openGguf(source, { maxHeaderSizeInBytes: 8 })).rejects.toMatchObject({ code: 'GG_LIMIT' });
  });
});

describe('what is read', () => {
  it('opening reads the header and at most one piece more, however large the file', async () => {
    const head = forgeGguf({
      metadata: [['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: new Array(30000).fill('token') }]],
      tensors: [{ name: 'w', shape: [2 ** 20, 1024], type: ggml.F32, sizeInBytes: 0 }],
    });
    const source = createCountingSource(head, 'large.gguf', head.length + 2 ** 32);
    const gguf = await openGguf(source);
    expect(gguf.tensors.get('w')!.sizeInBytes).toBe(2 ** 32);
    expect(source.bytesRead).toBeLessThan(head.length + 2 ** 20);
    expect(source.reads.every(({ offset }) => offset < head.length)).toBe(true);
    expect(source.reads.length).toBeLessThan(8);
  });

  it('a vocabulary of 260,000 tokens opens in far less than a second', async () => {
    const values = Array.from({ length: 260_000 }, (_, i) => `▁token${i}`);
    const bytes = forgeGguf({ metadata: [['tokenizer.ggml.tokens', { type: 'array', of: 'string', values }]] });
    const start = performance.now();
    const { metadata } = await open(bytes);
    expect(metadata.getStringArray('tokenizer.ggml.tokens')).toEqual(values);
    // Takes 0.1 s; the bound only catches a promise or a copy per string.
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('closes the source with the file, and when opening fails', async () => {
    const source = createCountingSource(forgeGguf({}));
    const gguf = await openGguf(source);
    expect(source.isClosed).toBe(false);
    await gguf.close();
    expect(source.isClosed).toBe(true);
    const broken = createCountingSource(new Uint8Array(64));
    await expect(openGguf(broken)).rejects.toMatchObject({ code: 'GG_MAGIC' });
    expect(broken.isClosed).toBe(true);
  });
});

describe('a file written by llama.cpp’s own package', () => {
  const golden = (name: string): Uint8Array => readFileSync(new URL(`../../test/golden/${name}`, import.meta.url));

  it('has the same metadata', async () => {
    const gguf = await open(golden('gguf-py.gguf'));
    expect(gguf.metadata.get('phi3.block_count')).toBe(32);
    expect(gguf.metadata.get('large')).toBe(2n ** 60n);
    expect(ggufVocabulary(gguf)).toMatchObject({
      tokens: ['<unk>', 'é', '\ufeff', '▁x'],
      scores: new Float32Array([0, -1, -2, 0.5]),
      tokenTypes: new Int32Array([2, 1, 3, 6]),
    });
  });

  it('gives the same weights in every format, to the last bit', async () => {
    const gguf = await open(golden('gguf-py.gguf'));
    const expected = new Float32Array(golden('gguf-py.expected.f32').slice().buffer);
    let at = 0;
    for (const name of gguf.tensors.keys()) {
      const { data, shape } = await gguf.readFloats(name);
      expect(shape).toEqual([2, 256]);
      for (let i = 0; i < data.length; i++, at++) {
        const isSame = data[i] === expected[at] || (Number.isNaN(data[i]) && Number.isNaN(expected[at]));
        if (!isSame) expect.fail(`${name}[${i}]: got ${data[i]}, expected ${expected[at]}`);
      }
    }
    expect([gguf.tensors.size, at]).toEqual([11, expected.length]);
  });
});

describeWithShared('the published Phi-3 vocabulary', 'tokenizers/gguf/ggml-vocab-phi-3.gguf', () => {
  const openShared = async () =>
    openGguf(createByteSource(readFileSync(sharedPath('tokenizers/gguf/ggml-vocab-phi-3.gguf')), 'vocabulary.gguf'));

  it('has the metadata of Phi-3-mini-4k and no tensors', async () => {
    const gguf = await openShared();
    expect(gguf.version).toBe(3);
    expect(gguf.tensors.size).toBe(0);
    expect(gguf.metadata.size).toBe(26);
    expect(gguf.metadata.getString('general.architecture')).toBe('phi3');
    expect(gguf.metadata.getInteger('phi3.feed_forward_length')).toBe(8192);
    expect(gguf.metadata.getNumber('phi3.attention.layer_norm_rms_epsilon')).toBe(Math.fround(1e-5));
  });

  it('has 32,064 tokens', async () => {
    const vocabulary = ggufVocabulary(await openShared());
    expect(vocabulary.tokens.length).toBe(32064);
    expect(vocabulary).toMatchObject({
      model: 'llama',
      preTokenizer: 'default',
      bosTokenId: 1,
      eosTokenId: 32000,
      eotTokenId: undefined,
      unknownTokenId: 0,
      paddingTokenId: 32000,
      addBosToken: true,
      addEosToken: false,
      merges: undefined,
    });
    expect(vocabulary.tokens.slice(0, 4)).toEqual(['<unk>', '<s>', '</s>', '<0x00>']);
    expect(vocabulary.tokens[32007]).toBe('<|end|>');
    expect(new Set(vocabulary.tokens).size).toBe(32064);
    expect(vocabulary.scores![3]).toBe(0);
    expect(vocabulary.tokenTypes![3]).toBe(6);
  });

  it('gives its chat template only when asked by its own name', async () => {
    const gguf = await openShared();
    expect(JSON.stringify(ggufVocabulary(gguf))).not.toContain('for message in messages');
    expect(untrustedChatTemplate(gguf)).toContain('for message in messages');
    expect(untrustedChatTemplate(gguf, 'tool_use')).toBeUndefined();
  });
});

describe('properties', () => {
  const valid = forgeGguf({
    metadata: [
      ['general.architecture', { type: 'string', value: 'phi3' }],
      ['phi3.block_count', { type: 'uint32', value: 2 }],
      ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: ['<s>', 'a', 'b'] }],
      ['tokenizer.ggml.scores', { type: 'array', of: 'float32', values: [0, -1, -2] }],
      ['nested', { type: 'array', of: 'array', values: [['bool', [true]]] }],
      ['long', { type: 'int64', value: -5n }],
    ],
    tensors: [
      { name: 'token_embd.weight', shape: [3, 32], type: ggml.Q4_0, bytes: randomBytes(54) },
      { name: 'output_norm.weight', shape: [32], type: ggml.F32, bytes: randomBytes(128) },
    ],
  });

  async function readAll(bytes: Uint8Array): Promise<void> {
    const source = createCountingSource(bytes);
    try {
      const gguf = await openGguf(source);
      for (const name of gguf.tensors.keys()) await gguf.readBytes(name);
      for (const name of gguf.tensors.keys()) await gguf.readFloats(name);
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
    }
    // Twice for the tensors, twice for the header (the first bytes are looked at before).
    expect(source.bytesRead).toBeLessThanOrEqual(4 * bytes.length);
  }

  it('the valid file is valid', async () => {
    const gguf = await open(valid);
    expect(gguf.tensors.size).toBe(2);
    expect(ggufVocabulary(gguf).tokens).toEqual(['<s>', 'a', 'b']);
  });

  it('every truncation is a typed error or the same tensors', async () => {
    for (let length = 0; length < valid.length; length++) await readAll(valid.slice(0, length));
  });

  it('every single flipped bit is a typed error or a file that can be read', async () => {
    for (let i = 0; i < valid.length * 8; i++) {
      const bytes = valid.slice();
      bytes[i >> 3]! ^= 1 << (i & 7);
      await readAll(bytes);
    }
  });

  it('several damaged bytes at once', async () => {
    const damage = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const bytes = valid.slice();
        for (const [at, value] of changes) bytes[at] = value;
        await readAll(bytes);
      }),
      { seed: 5, numRuns: 2000 },
    );
  });

  it('what is written is read: any shapes and types', async () => {
    const tensor = fc.record({
      rows: fc.integer({ min: 1, max: 3 }),
      blocks: fc.integer({ min: 1, max: 2 }),
      format: fc.constantFrom<WeightFormat>(
        'F32',
        'F16',
        'BF16',
        'Q8_0',
        'Q4_0',
        'Q4_1',
        'Q5_0',
        'Q5_1',
        'Q4_K',
        'Q5_K',
        'Q6_K',
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(tensor, { maxLength: 5 }), fc.constantFrom(8, 32, 4096), async (list, alignment) => {
        const tensors = list.map(({ rows, blocks, format }, i) => {
          const shape = [rows, blocks * 256];
          const type = (ggml as Record<string, number>)[format]!;
          return { name: `t${i}`, shape, type, format, bytes: randomBytes(weightSizeInBytes(format, shape)) };
        });
        const metadata = [['general.alignment', { type: 'uint32', value: alignment }]] as const;
        const gguf = await open(forgeGguf({ metadata, tensors, alignment }));
        expect([...gguf.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
        for (const { name, shape, format, bytes } of tensors) {
          expect(gguf.tensors.get(name)).toMatchObject({ shape, format });
          expect(await gguf.readBytes(name)).toEqual(bytes);
        }
      }),
      { seed: 6, numRuns: 40 },
    );
  });
});
