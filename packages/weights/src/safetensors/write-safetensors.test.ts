import { describe, expect, it } from 'vitest';
import type { SafetensorsDtype } from './dtypes.ts';
import { encodeSafetensors, type TensorToWrite, writeSafetensors } from './write-safetensors.ts';

/** A sink that keeps what it gets, piece by piece. */
function createMemorySink() {
  const pieces: Uint8Array[] = [];
  return { pieces, write: async (bytes: Uint8Array) => void pieces.push(bytes.slice()) };
}

const bytesOf = (size: number) => new Uint8Array(size);
const tensor = (lies: Record<string, unknown>) => {
  return { name: 'a', dtype: 'F32', shape: [2], bytes: bytesOf(8), ...lies } as TensorToWrite & { bytes: Uint8Array };
};

describe('encodeSafetensors', () => {
  it('writes by hand', () => {
    const file = encodeSafetensors([{ name: 'a"b', dtype: 'U8', shape: [2], bytes: Uint8Array.of(7, 8) }]);
    const header = '{"a\\"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}        '.slice(0, 56);
    expect([...file]).toEqual([56, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(header), 7, 8]);
  });

  it('writes the header that the reference implementation writes for tensors of every dtype', () => {
    // Recorded from the Python package safetensors 0.8.0: `serialize` of zeros of shape [2], metadata {"b": "2"}.
    const recorded =
      '{"__metadata__":{"b":"2"},"uint64":{"dtype":"U64","shape":[2],"data_offsets":[0,16]},' +
      '"int64":{"dtype":"I64","shape":[2],"data_offsets":[16,32]},"float64":{"dtype":"F64","shape":[2],"data_offsets":[32,48]},' +
      '"complex64":{"dtype":"C64","shape":[2],"data_offsets":[48,64]},"float32":{"dtype":"F32","shape":[2],"data_offsets":[64,72]},' +
      '"uint32":{"dtype":"U32","shape":[2],"data_offsets":[72,80]},"int32":{"dtype":"I32","shape":[2],"data_offsets":[80,88]},' +
      '"bfloat16":{"dtype":"BF16","shape":[2],"data_offsets":[88,92]},"float16":{"dtype":"F16","shape":[2],"data_offsets":[92,96]},' +
      '"uint16":{"dtype":"U16","shape":[2],"data_offsets":[96,100]},"int16":{"dtype":"I16","shape":[2],"data_offsets":[100,104]},' +
      '"float8_e5m2fnuz":{"dtype":"F8_E5M2FNUZ","shape":[2],"data_offsets":[104,106]},' +
      '"float8_e4m3fnuz":{"dtype":"F8_E4M3FNUZ","shape":[2],"data_offsets":[106,108]},' +
      '"float8_e8m0fnu":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[108,110]},' +
      '"float8_e4m3fn":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[110,112]},' +
      '"float8_e5m2":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[112,114]},"int8":{"dtype":"I8","shape":[2],"data_offsets":[114,116]},' +
      '"uint8":{"dtype":"U8","shape":[2],"data_offsets":[116,118]},"bool":{"dtype":"BOOL","shape":[2],"data_offsets":[118,120]}}      ';
    const list = [...recorded.matchAll(/"(\w+)":\{"dtype":"(\w+)".*?\[(\d+),(\d+)\]\}/g)].map((match) => ({
      name: match[1]!,
      dtype: match[2] as SafetensorsDtype,
      shape: [2],
      bytes: bytesOf(Number(match[4]) - Number(match[3])),
    }));
    expect(list).toHaveLength(19);
    list.sort((a, b) => (a.name < b.name ? -1 : 1));
    const file = encodeSafetensors(list, { metadata: { b: '2' } });
    expect(new TextDecoder().decode(file.subarray(8, -120))).toBe(recorded);
  });

  it('pads the header so that data begins at a multiple of 8', () => {
    for (let length = 1; length < 20; length++) {
      const file = encodeSafetensors([tensor({ name: 'n'.repeat(length) })]);
      expect((file.length - 8) % 8).toBe(0);
    }
  });

  it('sorts metadata and names by their bytes', () => {
    const list = ['\uffff', '😀', 'b', 'a'].map((name) => tensor({ name }));
    const file = new TextDecoder().decode(
      encodeSafetensors(list, {
        metadata: new Map([
          ['y', '2'],
          ['x', '1'],
        ]),
      }),
    );
    expect(file).toContain('{"__metadata__":{"x":"1","y":"2"},"a":');
    // U+FFFF is before U+1F600 in UTF-8 and behind its surrogates in UTF-16.
    expect(
      ['"a"', '"b"', '"\uffff"', '"😀"']
        .map((name) => file.indexOf(name))
        .every((at, i, all) => i === 0 || at > all[i - 1]!),
    ).toBe(true);
  });
});

describe('writeSafetensors', () => {
  it('writes the same file as encodeSafetensors, asking for one tensor at a time in file order', async () => {
    const asked: string[] = [];
    const list = ['b', 'c', 'a'].map((name, index) => tensor({ name, bytes: bytesOf(8).fill(index + 1) }));
    const lazy = list.map((item): TensorToWrite => {
      return {
        ...item,
        bytes: async () => {
          asked.push(`${item.name} after ${sink.pieces.length} pieces`);
          return item.bytes;
        },
      };
    });
    const sink = createMemorySink();
    const written = await writeSafetensors(sink, lazy, { metadata: { format: 'pt' } });
    expect(asked).toEqual(['a after 1 pieces', 'b after 2 pieces', 'c after 3 pieces']);
    const file = encodeSafetensors(list, { metadata: { format: 'pt' } });
    expect(Buffer.concat(sink.pieces).equals(Buffer.from(file))).toBe(true);
    expect(written).toBe(file.length);
  });

  it('checks every description before the first byte goes out', async () => {
    const sink = createMemorySink();
    await expect(writeSafetensors(sink, [tensor({}), tensor({ name: 'b', bytes: bytesOf(7) })])).rejects.toThrow(
      "SHAPE writeSafetensors(bytes): expected 8 bytes for F32 [2], got '7 bytes' (tensor b)",
    );
    await expect(writeSafetensors(sink, [tensor({}), tensor({})])).rejects.toMatchObject({ code: 'ARGUMENT' });
    expect(sink.pieces).toHaveLength(0);
  });

  it('checks bytes that come late', async () => {
    const sink = createMemorySink();
    await expect(writeSafetensors(sink, [tensor({ bytes: async () => bytesOf(9) })])).rejects.toMatchObject({
      code: 'SHAPE',
      where: { tensor: 'a' },
    });
    expect(sink.pieces).toHaveLength(1);
  });

  it.each([
    ['a reserved name', [{ name: '__metadata__' }], /ARGUMENT encodeSafetensors\(tensors\[0\]\.name\)/],
    ['a name twice', [{}, {}], /ARGUMENT encodeSafetensors\(tensors\[1\]\.name\): expected every name once, got 'a'/],
    ['a name with a line feed', [{ name: 'a\n' }], /ARGUMENT .*without control characters/],
    ['a name over 1 kB', [{ name: 'é'.repeat(513) }], /ARGUMENT .*at most 1024 bytes/],
    ['a name that is no text', [{ name: '\ud800' }], /ARGUMENT .*lone surrogates/],
    ['a name that is no string', [{ name: 1 }], /ARGUMENT .*a string, got 1/],
    ['an unknown dtype', [{ dtype: 'Q4_K' }], /ARGUMENT encodeSafetensors\(tensors\[0\]\.dtype\): .*got 'Q4_K'/],
    ['a negative dimension', [{ shape: [-2] }], /SHAPE encodeSafetensors\(shape\)/],
    ['a fractional dimension', [{ shape: [0.5] }], /SHAPE encodeSafetensors\(shape\)/],
    ['nine dimensions', [{ shape: [1, 1, 1, 1, 1, 1, 1, 1, 2] }], /SHAPE encodeSafetensors\(shape\)/],
    ['a size past 2^53', [{ shape: [2 ** 30, 2 ** 30] }], /SHAPE encodeSafetensors\(shape\)/],
    ['a shape that is no list', [{ shape: 2 }], /SHAPE encodeSafetensors\(shape\)/],
    ['half a byte', [{ dtype: 'F4', shape: [3] }], /SHAPE encodeSafetensors\(shape\)/],
    ['too few bytes', [{ bytes: bytesOf(4) }], /SHAPE encodeSafetensors\(bytes\)/],
    ['floats in place of bytes', [{ bytes: new Float32Array(8) }], /SHAPE encodeSafetensors\(bytes\)/],
  ] as const)('rejects %s', (_, lies, message) => {
    expect(() => encodeSafetensors(lies.map(tensor))).toThrow(message);
  });

  it('rejects metadata that is not strings or too large, and unknown options', () => {
    const write = (options: object) => () => encodeSafetensors([], options);
    expect(write({ metadata: { a: 1 } })).toThrow(/ARGUMENT encodeSafetensors\(metadata\).*key a/);
    expect(write({ metadata: { a: '\udc00' } })).toThrow(/ARGUMENT encodeSafetensors\(metadata\)/);
    expect(write({ metadata: { a: 'x'.repeat(2 ** 20) } })).toThrow(/at most 2\^20 bytes/);
    expect(write({ meta: {} })).toThrow(/OPTION_UNKNOWN/);
  });
});
