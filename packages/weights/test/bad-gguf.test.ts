import type { ErrorLocation } from '@phiblocks/tensor';
import { type ForgedGguf, type ForgedTensor, type ForgedValue, forgeGguf, ggml } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { type ggufErrorCodes, ggufVocabulary, openGguf, openSplitGguf, untrustedChatTemplate } from '../src/index.ts';
import { type CountingSource, createCountingSource } from './counting-source.ts';

// One row or more per case of the catalogue of bad input; the id stands first in the title.

interface Rejected {
  id: string;
  input: string;
  file: ForgedGguf | Uint8Array;
  code: keyof typeof ggufErrorCodes;
  where?: ErrorLocation;
  message?: RegExp;
}

const key = (value: ForgedValue, name: string | Uint8Array = 'k'): ForgedGguf => ({ metadata: [[name, value]] });
const tensor = (changes: Partial<ForgedTensor>): ForgedGguf => ({
  tensors: [{ name: 't', shape: [32], type: ggml.F32, sizeInBytes: 128, ...changes }],
});
const cut = (file: ForgedGguf, bytesFewer: number): Uint8Array => forgeGguf(file).slice(0, -bytesFewer);
const arrays = (depth: number): ForgedValue => {
  let nested: [string, unknown[]] = ['uint8', [1]];
  for (let i = 2; i <= depth - 1; i++) nested = ['array', [nested]];
  return depth === 1 ? { type: 'array', of: 'uint8', values: [1] } : { type: 'array', of: 'array', values: [nested] };
};
const someBytes = { type: 'array', of: 'uint8', values: new Array(200).fill(7) } as const;

const rejected: Rejected[] = [
  {
    id: 'GG-01',
    input: 'wrong magic',
    file: { magic: 'GGML' },
    code: 'GG_MAGIC',
    message: /expected the letters GGUF/,
  },
  { id: 'GG-02', input: 'version 0', file: { version: 0 }, code: 'GG_VERSION' },
  { id: 'GG-02', input: 'version 1', file: { version: 1 }, code: 'GG_VERSION' },
  { id: 'GG-02', input: 'version 9', file: { version: 9 }, code: 'GG_VERSION', where: { offset: 4 } },
  {
    id: 'GG-02',
    input: 'big-endian',
    file: { isBigEndian: true },
    code: 'GG_VERSION',
    message: /version 3, big-endian/,
  },
  { id: 'GG-03', input: '2^63 tensors', file: { numTensors: 2n ** 63n }, code: 'GG_COUNT', where: { offset: 8 } },
  { id: 'GG-04', input: '2^63 keys', file: { numKeys: 2n ** 63n }, code: 'GG_COUNT', where: { offset: 16 } },
  {
    id: 'GG-05',
    input: '9,000,000 tensors in a file of 250 bytes',
    file: { ...key(someBytes), numTensors: 9_000_000n },
    code: 'GG_COUNT',
    message: /expected at most \d tensors, which the rest of the file could hold, got 9000000/,
  },
  {
    id: 'GG-05',
    input: 'tensors and keys that each would fit, but not both',
    file: { ...key(someBytes), numTensors: 7n, numKeys: 14n },
    code: 'GG_COUNT',
  },
  { id: 'GG-06', input: 'key of 2^62 bytes', file: rawKeyLength(2n ** 62n), code: 'GG_COUNT', where: { offset: 24 } },
  { id: 'GG-06', input: 'key one byte past the end', file: rawKeyLength(17n), code: 'GG_COUNT' },
  {
    id: 'GG-06',
    input: 'text of 2^64 - 1 bytes',
    file: key({ type: 'string', value: 'x', length: 2n ** 64n - 1n }),
    code: 'GG_COUNT',
    where: { key: 'k' },
  },
  { id: 'GG-07', input: 'key not UTF-8', file: key(someBytes, Uint8Array.of(0xc3, 0x28)), code: 'GG_UTF8' },
  { id: 'GG-07', input: 'tensor name not UTF-8', file: tensor({ name: Uint8Array.of(0xff) }), code: 'GG_UTF8' },
  {
    id: 'GG-07',
    input: 'text with an encoded surrogate',
    file: key({ type: 'string', value: Uint8Array.of(0xed, 0xa0, 0x80) }),
    code: 'GG_UTF8',
  },
  { id: 'GG-08', input: 'empty key', file: key({ type: 'uint64', value: 1n }, ''), code: 'GG_NAME' },
  {
    id: 'GG-08',
    input: 'key of 65,536 bytes',
    file: key({ type: 'uint8', value: 1 }, 'k'.repeat(65536)),
    code: 'GG_NAME',
  },
  { id: 'GG-08', input: 'empty tensor name', file: tensor({ name: '' }), code: 'GG_NAME' },
  { id: 'GG-08', input: 'tensor name of 65 bytes', file: tensor({ name: `${'é'.repeat(32)}e` }), code: 'GG_NAME' },
  {
    id: 'GG-09',
    input: 'duplicate key',
    file: {
      metadata: [
        ['a', { type: 'uint8', value: 1 }],
        ['a', { type: 'uint8', value: 1 }],
      ],
    },
    code: 'GG_DUPLICATE_KEY',
    where: { key: 'a' },
  },
  { id: 'GG-11', input: 'value type 13', file: key(raw(13)), code: 'GG_VALUE_TYPE', where: { key: 'k' } },
  { id: 'GG-11', input: 'truth value 2', file: key({ type: 'bool', value: 2 }), code: 'GG_VALUE', where: { key: 'k' } },
  { id: 'GG-12', input: 'array of type 13', file: key({ type: 'array', of: 13, values: [] }), code: 'GG_VALUE_TYPE' },
  {
    id: 'GG-13',
    input: 'array of 2^40 numbers',
    file: key({ type: 'array', of: 'float64', values: [1], count: 2n ** 40n }),
    code: 'GG_COUNT',
    where: { key: 'k' },
  },
  {
    id: 'GG-13',
    input: 'array of 2^40 strings',
    file: key({ type: 'array', of: 'string', values: ['a'], count: 2n ** 40n }),
    code: 'GG_COUNT',
  },
  {
    id: 'GG-13',
    input: 'array of one string too many',
    file: key({ type: 'array', of: 'string', values: ['a', 'b'], count: 3n }),
    code: 'GG_COUNT',
  },
  { id: 'GG-14', input: 'arrays nested 5 deep', file: key(arrays(5)), code: 'GG_NESTING', where: { key: 'k' } },
  { id: 'GG-14', input: 'arrays nested 3,000 deep', file: key(arrays(3000)), code: 'GG_NESTING' },
  { id: 'GG-15', input: 'no dimensions', file: tensor({ shape: [] }), code: 'GG_SHAPE', where: { tensor: 't' } },
  { id: 'GG-15', input: '5 dimensions', file: tensor({ shape: [1, 1, 1, 1, 32] }), code: 'GG_SHAPE' },
  { id: 'GG-15', input: '2^32 - 1 dimensions', file: tensor({ rank: 2 ** 32 - 1 }), code: 'GG_SHAPE' },
  { id: 'GG-16', input: 'a dimension of 0', file: tensor({ shape: [0, 32] }), code: 'GG_SHAPE' },
  {
    id: 'GG-17',
    input: 'a product of 2^64, which wraps to 0',
    file: tensor({ shape: [2n ** 32n, 2n ** 32n] }),
    code: 'GG_SHAPE',
  },
  { id: 'GG-17', input: 'a dimension of 2^64 - 1', file: tensor({ shape: [2n ** 64n - 1n] }), code: 'GG_SHAPE' },
  {
    id: 'GG-17',
    input: 'a size of 2^55 bytes',
    file: tensor({ shape: [2n ** 52n], type: 28 }),
    code: 'GG_DATA_TRUNCATED',
  },
  { id: 'GG-18', input: 'type 9999', file: tensor({ type: 9999 }), code: 'GG_TYPE_UNKNOWN', where: { tensor: 't' } },
  { id: 'GG-18', input: 'type 4, retired', file: tensor({ type: 4 }), code: 'GG_TYPE_UNKNOWN' },
  { id: 'GG-18', input: 'type 2^32 - 1', file: tensor({ type: 2 ** 32 - 1 }), code: 'GG_TYPE_UNKNOWN' },
  { id: 'GG-19', input: 'rows of 48 in Q4_0', file: tensor({ shape: [2, 48], type: ggml.Q4_0 }), code: 'GG_BLOCK' },
  { id: 'GG-19', input: 'rows of 128 in Q4_K', file: tensor({ shape: [2, 128], type: ggml.Q4_K }), code: 'GG_BLOCK' },
  {
    id: 'GG-20',
    input: 'offset past the end',
    file: tensor({ offset: 2n ** 20n }),
    code: 'GG_OFFSET',
    where: { tensor: 't' },
  },
  { id: 'GG-20', input: 'offset 2^64 - 32', file: tensor({ offset: 2n ** 64n - 32n }), code: 'GG_OFFSET' },
  { id: 'GG-21', input: 'offset 4', file: tensor({ offset: 4n, sizeInBytes: 256 }), code: 'GG_OFFSET' },
  {
    id: 'GG-22',
    input: 'two tensors on the same bytes',
    file: {
      tensors: [
        { name: 'a', shape: [32], type: ggml.F32, sizeInBytes: 128 },
        { name: 'b', shape: [32], type: ggml.F32, sizeInBytes: 128, offset: 96n },
      ],
    },
    code: 'GG_OVERLAP',
    where: { tensor: 'b' },
  },
  {
    id: 'GG-23',
    input: 'duplicate tensor',
    file: {
      tensors: [
        { name: 'a', shape: [8], type: ggml.F32, sizeInBytes: 32 },
        { name: 'a', shape: [8], type: ggml.F32, sizeInBytes: 32 },
      ],
    },
    code: 'GG_DUPLICATE_TENSOR',
    where: { tensor: 'a' },
  },
  ...([0, 3, 4, 33, 131072, 2 ** 31, 2 ** 32 - 1] as const).map((value) => alignment({ type: 'uint32', value })),
  alignment({ type: 'string', value: '32' }),
  alignment({ type: 'float32', value: 32 }),
  alignment({ type: 'int32', value: -32 }),
  alignment({ type: 'uint64', value: 2n ** 63n }),
  alignment({ type: 'array', of: 'uint32', values: [32] }),
  { id: 'GG-25', input: 'empty file', file: new Uint8Array(0), code: 'GG_TRUNCATED' },
  { id: 'GG-25', input: 'three letters', file: new TextEncoder().encode('GGU'), code: 'GG_TRUNCATED' },
  { id: 'GG-25', input: 'magic and version only', file: forgeGguf({}).slice(0, 8), code: 'GG_TRUNCATED' },
  { id: 'GG-25', input: 'cut in a count', file: forgeGguf({}).slice(0, 20), code: 'GG_TRUNCATED' },
  { id: 'GG-25', input: 'cut in a value', file: cut(key({ type: 'uint64', value: 1n }), 3), code: 'GG_TRUNCATED' },
  { id: 'GG-25', input: 'cut in an array', file: cut(key(someBytes), 1), code: 'GG_COUNT' },
  {
    id: 'GG-25',
    input: '40 bytes, keys missing',
    file: cut(key({ type: 'string', value: 'abcdefgh' }), 9),
    code: 'GG_TRUNCATED',
  },
  {
    id: 'GG-26',
    input: 'data cut by 5 bytes',
    file: cut(tensor({}), 5),
    code: 'GG_DATA_TRUNCATED',
    where: { tensor: 't' },
    message: /expected 128 bytes for F32 \[32\], got '5 bytes fewer'/,
  },
  { id: 'GG-26', input: 'no data at all', file: cut(tensor({}), 128), code: 'GG_DATA_TRUNCATED' },
];

function rawKeyLength(length: bigint): Uint8Array {
  const bytes = forgeGguf({ metadata: [['k', { type: 'uint64', value: 0n }]] });
  new DataView(bytes.buffer).setBigUint64(24, length, true);
  return bytes.slice(0, 24 + 8 + 16);
}
function raw(id: number): ForgedValue {
  return { type: 'raw', id, bytes: new Uint8Array(8) };
}
function alignment(value: ForgedValue): Rejected {
  const input = `alignment ${'value' in value ? `${value.type} ${value.value}` : value.type}`;
  const file = { metadata: [['general.alignment', value] as const] };
  return { id: 'GG-24', input, file, code: 'GG_ALIGNMENT', where: { key: 'general.alignment' } };
}

describe('rejected when opened', () => {
  it.each(rejected)('$id $input: $code', async ({ file, code, where, message }) => {
    const bytes = file instanceof Uint8Array ? file : forgeGguf(file);
    const source = createCountingSource(bytes);
    const start = performance.now();
    const error = await openGguf(source).then(
      () => expect.fail('was accepted'),
      (error) => error,
    );
    expect(error.message).toMatch(new RegExp(`^${code} openGguf`));
    expect(error).toMatchObject({ code, function: 'openGguf', where: { file: 'test.gguf', ...where } });
    if (message) expect(error.message).toMatch(message);
    // The header once, its first bytes twice, and nothing on the word of the file.
    expect(source.bytesRead).toBeLessThanOrEqual(bytes.length + 128);
    expect(source.isClosed).toBe(true);
    // Rejecting takes about a millisecond; the catalogue asks for 50.
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe('large lies in a large file', () => {
  // The file really is 1 TB, so that no count can be refuted by its size; limits must.
  const size = 2 ** 40;
  const rows: { id: string; input: string; file: ForgedGguf; code: string }[] = [
    { id: 'GG-03', input: '10^9 tensors', file: { numTensors: 10n ** 9n }, code: 'GG_LIMIT' },
    { id: 'GG-04', input: '10^9 keys', file: { numKeys: 10n ** 9n }, code: 'GG_LIMIT' },
    {
      id: 'GG-06',
      input: 'text of 8 GB',
      file: key({ type: 'string', value: '', length: 2n ** 33n }),
      code: 'GG_LIMIT',
    },
    {
      id: 'GG-13',
      input: 'array of 10^9 numbers',
      file: key({ type: 'array', of: 'float64', values: [], count: 10n ** 9n }),
      code: 'GG_LIMIT',
    },
    {
      id: 'GG-13',
      input: 'array of 10^9 strings',
      file: key({ type: 'array', of: 'string', values: [], count: 10n ** 9n }),
      code: 'GG_LIMIT',
    },
    {
      id: 'GG-13',
      input: 'array of 10^9 truth values',
      file: key({ type: 'array', of: 'bool', values: [], count: 10n ** 9n }),
      code: 'GG_LIMIT',
    },
    {
      id: 'GG-14',
      input: 'array of 10^9 arrays',
      file: key({ type: 'array', of: 'array', values: [], count: 10n ** 9n }),
      code: 'GG_LIMIT',
    },
  ];
  it.each(rows)('$id $input: $code', async ({ file, code }) => {
    const source = createCountingSource(forgeGguf(file), 'test.gguf', size);
    await expect(openGguf(source)).rejects.toMatchObject({ code });
    expect(source.bytesRead).toBeLessThan(256 * 1024);
  });
});

describe('accepted, or met later', () => {
  const open = (file: ForgedGguf) => openGguf(createCountingSource(forgeGguf(file)));

  it('GG-10 key __proto__ is a key like any other', async () => {
    const { metadata } = await open(key({ type: 'string', value: 'v' }, '__proto__'));
    expect(metadata.getString('__proto__')).toBe('v');
    expect(Object.getPrototypeOf({}).v).toBeUndefined();
  });

  it('GG-10 tensor __proto__ too', async () => {
    const gguf = await open(tensor({ name: '__proto__' }));
    expect((await gguf.readFloats('__proto__')).data.length).toBe(32);
  });

  it('GG-08 a key of 65,535 bytes and a tensor name of 64', async () => {
    const gguf = await open({
      ...key({ type: 'uint8', value: 1 }, 'k'.repeat(65535)),
      ...tensor({ name: 't'.repeat(64) }),
    });
    expect(gguf.metadata.size + gguf.tensors.size).toBe(2);
  });

  it('GG-14 arrays nested 4 deep', async () => {
    const { metadata } = await open(key(arrays(4)));
    expect(metadata.get('k')).toEqual([[[new Uint8Array([1])]]]);
  });

  it('GG-18 a type that only ggml reads is refused when it is read', async () => {
    const gguf = await open(tensor({ shape: [256], type: ggml.Q2_K, sizeInBytes: 84 }));
    await expect(gguf.readFloats('t')).rejects.toMatchObject({ code: 'GG_TYPE_UNSUPPORTED', got: 'Q2_K' });
  });

  it('GG-22 gaps between tensors', async () => {
    const gguf = await open({
      tensors: [
        { name: 'a', shape: [8], type: ggml.F32, sizeInBytes: 32 },
        { name: 'b', shape: [8], type: ggml.F32, sizeInBytes: 256, offset: 64n },
      ],
    });
    expect(gguf.tensors.size).toBe(2);
  });

  it('a page or a git-LFS pointer in place of the file', async () => {
    const text = (content: string) => createCountingSource(new TextEncoder().encode(content));
    await expect(openGguf(text('<!doctype html><title>404</title>'))).rejects.toMatchObject({ code: 'FILE_IS_HTML' });
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n';
    await expect(openGguf(text(pointer))).rejects.toMatchObject({ code: 'FILE_IS_LFS_POINTER' });
  });
});

describe('GG-27 metadata of the wrong type for its key', () => {
  it('typed getters name key, expected type and stored type', async () => {
    const gguf = await openGguf(
      createCountingSource(
        forgeGguf({
          metadata: [
            ['scores', { type: 'array', of: 'uint8', values: [1, 2] }],
            ['huge', { type: 'uint64', value: 2n ** 60n }],
            ['text', { type: 'string', value: '7' }],
            ['real', { type: 'float32', value: 7 }],
          ],
        }),
      ),
    );
    const { metadata } = gguf;
    expect(() => metadata.getFloat32Array('scores')).toThrow(
      "GG_KEY_TYPE metadata: expected an array of float32, got 'uint8[]' (file test.gguf, key scores)",
    );
    expect(() => metadata.getInteger('huge')).toThrow(/GG_KEY_TYPE .* got 1152921504606846976/);
    expect(() => metadata.getNumber('text')).toThrow(/GG_KEY_TYPE .* expected a number, got 'string'/);
    expect(() => metadata.getInteger('real')).toThrow(/GG_KEY_TYPE .* expected an integer, got 'float32'/);
    expect(() => metadata.getStringArray('scores')).toThrow(/GG_KEY_TYPE/);
    expect(() => metadata.findBoolean('text')).toThrow(/GG_KEY_TYPE/);
    expect(() => metadata.getString('none')).toThrow(/GG_KEY_MISSING .* expected a string, got undefined .*key none/);
  });
});

describe('vocabularies', () => {
  const valid: [string, ForgedValue][] = [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: ['<unk>', '<s>', 'a'] }],
    ['tokenizer.ggml.scores', { type: 'array', of: 'float32', values: [0, 0, -1] }],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', values: [2, 3, 1] }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: 1 }],
  ];
  const vocabularyOf = async (changes: [string, ForgedValue][]) => {
    const metadata = [...new Map([...valid, ...changes])];
    return ggufVocabulary(await openGguf(createCountingSource(forgeGguf({ metadata }))));
  };

  it('the valid one is valid', async () => {
    const vocabulary = await vocabularyOf([]);
    expect(vocabulary.tokens).toEqual(['<unk>', '<s>', 'a']);
    expect(vocabulary.tokenTypes).toEqual(new Int32Array([2, 3, 1]));
    expect(vocabulary.bosTokenId).toBe(1);
  });

  const floats = (values: number[]): ForgedValue => ({ type: 'array', of: 'float32', values });
  const ints = (values: number[]): ForgedValue => ({ type: 'array', of: 'int32', values });
  const rows: [title: string, key: string, value: ForgedValue, code: string][] = [
    ['GG-27 scores as bytes', 'scores', { type: 'array', of: 'uint8', values: [0, 0, 1] }, 'GG_KEY_TYPE'],
    ['GG-27 tokens as numbers', 'tokens', ints([1, 2, 3]), 'GG_KEY_TYPE'],
    ['GG-27 token types as floats', 'token_type', floats([2, 3, 1]), 'GG_KEY_TYPE'],
    ['GG-27 id as text', 'bos_token_id', { type: 'string', value: '1' }, 'GG_KEY_TYPE'],
    ['GG-27 add_bos_token as number', 'add_bos_token', { type: 'uint8', value: 1 }, 'GG_KEY_TYPE'],
    ['GG-28 fewer scores than tokens', 'scores', floats([0, 0]), 'GG_VOCABULARY'],
    ['GG-28 more token types than tokens', 'token_type', ints([2, 3, 1, 1]), 'GG_VOCABULARY'],
    ['GG-28 no tokens', 'tokens', { type: 'array', of: 'string', values: [] }, 'GG_VOCABULARY'],
    ['an unknown token type', 'token_type', ints([2, 3, 7]), 'GG_VOCABULARY'],
    ['an id outside the vocabulary', 'eos_token_id', { type: 'uint32', value: 3 }, 'GG_VOCABULARY'],
    ['a negative id', 'bos_token_id', { type: 'int32', value: -1 }, 'GG_VOCABULARY'],
  ];
  it.each(rows)('%s', async (_, name, value, code) => {
    const key = `tokenizer.ggml.${name}`;
    await expect(vocabularyOf([[key, value]])).rejects.toMatchObject({ code });
    await expect(vocabularyOf([[key, value]])).rejects.toThrow(key);
  });

  it('GG-29 a hostile template is only ever text, and only under its own name', async () => {
    const hostile = "{{ ''.__class__.__mro__ }}{% for i in range(10**9) %}x{% endfor %}";
    const metadata = [...valid, ['tokenizer.chat_template', { type: 'string', value: hostile }] as const];
    const gguf = await openGguf(createCountingSource(forgeGguf({ metadata })));
    expect(Object.values(ggufVocabulary(gguf))).not.toContain(hostile);
    expect(untrustedChatTemplate(gguf)).toBe(hostile);
  });

  it('GG-29 a template that is no text', async () => {
    const gguf = await openGguf(
      createCountingSource(forgeGguf(key({ type: 'uint8', value: 1 }, 'tokenizer.chat_template'))),
    );
    expect(() => untrustedChatTemplate(gguf)).toThrow(/GG_KEY_TYPE/);
  });

  it('GG-30 a token like <0x-1> is given as it stands: it is for the tokenizer to refuse', async () => {
    const vocabulary = await vocabularyOf([
      ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: ['<0x-1>', '<s>', 'a'] }],
    ]);
    expect(vocabulary.tokens[0]).toBe('<0x-1>');
  });
});

describe('GG-31 split files', () => {
  const part = (no: number, count: number, names: string[], more: [string, ForgedValue][] = []): ForgedGguf => ({
    metadata: [
      ['split.no', { type: 'uint16', value: no }],
      ['split.count', { type: 'uint16', value: count }],
      ['split.tensors.count', { type: 'int32', value: 3 }],
      ...more,
    ],
    tensors: names.map((name) => ({ name, shape: [8], type: ggml.F32, bytes: new Uint8Array(32).fill(no + 1) })),
  });
  const architecture = (value: string): [string, ForgedValue] => ['general.architecture', { type: 'string', value }];
  const sourcesOf = (parts: ForgedGguf[]): CountingSource[] =>
    parts.map((file, i) => createCountingSource(forgeGguf(file), `m-0000${i + 1}-of-0000${parts.length}.gguf`));

  it('opens as one file', async () => {
    const sources = sourcesOf([part(0, 2, ['a', 'b'], [architecture('phi3')]), part(1, 2, ['c'])]);
    const gguf = await openSplitGguf(sources);
    expect([...gguf.tensors.keys()]).toEqual(['a', 'b', 'c']);
    expect(gguf.tensors.get('c')!.file).toBe('m-00002-of-00002.gguf');
    expect(gguf.metadata.getString('general.architecture')).toBe('phi3');
    expect(await gguf.readBytes('b')).toEqual(new Uint8Array(32).fill(1));
    expect(await gguf.readBytes('c')).toEqual(new Uint8Array(32).fill(2));
    await expect(gguf.readFloats('d')).rejects.toMatchObject({ code: 'TENSOR_NOT_FOUND' });
    await gguf.close();
    expect(sources.every((source) => source.isClosed)).toBe(true);
  });

  const rows: [title: string, parts: ForgedGguf[], code: string, key?: string][] = [
    ['no parts', [], 'GG_SPLIT'],
    ['a missing part', [part(0, 2, ['a', 'b', 'c'])], 'GG_SPLIT', 'split.count'],
    ['a part too many', [part(0, 1, ['a', 'b']), part(1, 1, ['c'])], 'GG_SPLIT', 'split.count'],
    ['wrong order', [part(1, 2, ['c']), part(0, 2, ['a', 'b'])], 'GG_SPLIT', 'split.no'],
    ['the same part twice', [part(0, 2, ['a', 'b']), part(0, 2, ['a', 'b'])], 'GG_SPLIT', 'split.no'],
    ['fewer tensors than declared', [part(0, 2, ['a']), part(1, 2, ['c'])], 'GG_SPLIT', 'split.tensors.count'],
    ['a tensor in two parts', [part(0, 2, ['a', 'b']), part(1, 2, ['b'])], 'GG_DUPLICATE_TENSOR'],
    [
      'two models',
      [part(0, 2, ['a', 'b'], [architecture('phi3')]), part(1, 2, ['c'], [architecture('phimoe')])],
      'GG_SPLIT',
      'general.architecture',
    ],
    ['two versions', [part(0, 2, ['a', 'b']), { ...part(1, 2, ['c']), version: 2 }], 'GG_SPLIT'],
    ['a file that is not split', [forgedWhole(), part(1, 2, ['c'])], 'GG_SPLIT', 'split.count'],
    ['a part that is damaged', [part(0, 2, ['a', 'b']), { magic: 'XXXX' }], 'GG_MAGIC'],
  ];
  function forgedWhole(): ForgedGguf {
    return { tensors: [{ name: 'a', shape: [8], type: ggml.F32, sizeInBytes: 32 }] };
  }
  it.each(rows)('%s', async (_, parts, code, where) => {
    const sources = sourcesOf(parts);
    await expect(openSplitGguf(sources)).rejects.toMatchObject({ code, where: where ? { key: where } : {} });
    expect(sources.every((source) => source.isClosed)).toBe(true);
  });

  it('two parts under one name', async () => {
    const [a, b] = [part(0, 2, ['a', 'b']), part(1, 2, ['c'])].map((file) =>
      createCountingSource(forgeGguf(file), 'x'),
    );
    await expect(openSplitGguf([a!, b!])).rejects.toMatchObject({ code: 'GG_SPLIT' });
  });

  it('one part alone is not a model', async () => {
    const [source] = sourcesOf([part(0, 2, ['a', 'b'])]);
    await expect(openGguf(source!)).rejects.toMatchObject({
      code: 'GG_SPLIT',
      hint: 'Open all parts together with openSplitGguf',
    });
    expect(source!.isClosed).toBe(true);
  });
});

it('every case of the catalogue has a test', () => {
  const here = [...rejected.map(({ id }) => id), 'GG-10', 'GG-27', 'GG-28', 'GG-29', 'GG-30', 'GG-31'];
  const all = Array.from({ length: 31 }, (_, i) => `GG-${String(i + 1).padStart(2, '0')}`);
  expect([...new Set(here)].sort()).toEqual(all);
});
