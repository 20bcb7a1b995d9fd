import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeFloats, type FloatDtype, isPhi3Error } from '@phiblocks/tensor';
import { describeWithShared, loadGolden, sharedPath } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCountingSource, forgeOne } from '../../test/forge-safetensors.ts';
import { createByteSource } from '../create-byte-source.ts';
import { openSafetensors } from './open-safetensors.ts';
import { encodeSafetensors, type TensorInMemory } from './write-safetensors.ts';

/** The definition, trusting the file: the format's own description in a few lines. */
function readTrusting(file: Uint8Array) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, { dtype, shape, data_offsets: offsets }]) => {
      return {
        name,
        dtype,
        shape,
        offset: start + offsets[0],
        bytes: file.slice(start + offsets[0], start + offsets[1]),
      };
    });
}

/** Float64 values from the bit patterns, by the definition of the formats. */
function floatsOf(bytes: Uint8Array, dtype: string): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = dtype === 'F32';
  const [exponentBits, fractionBits] = wide ? [8, 23] : dtype === 'BF16' ? [8, 7] : [5, 10];
  const bias = 2 ** (exponentBits! - 1) - 1;
  return Array.from({ length: bytes.length / (wide ? 4 : 2) }, (_, i) => {
    const bits = wide ? view.getUint32(4 * i, true) : view.getUint16(2 * i, true);
    const fraction = (bits % 2 ** fractionBits!) / 2 ** fractionBits!;
    const rest = Math.floor(bits / 2 ** fractionBits!);
    const exponent = rest % 2 ** exponentBits!;
    const sign = rest >= 2 ** exponentBits! ? -1 : 1;
    if (exponent === 2 ** exponentBits! - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
  });
}

const open = (bytes: Uint8Array, options = {}) =>
  openSafetensors(createByteSource(bytes, 'model.safetensors'), options);

describe('openSafetensors', () => {
  it('reads a file written by hand', async () => {
    const header = '{"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}}';
    const file = Uint8Array.of(
      header.length,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...new TextEncoder().encode(header),
      0x80,
      0x3f,
      0,
      0xc0,
    );
    const weights = await open(file);
    expect(weights.metadata).toEqual(new Map([['format', 'pt']]));
    expect(weights.warnings).toEqual([]);
    expect([...weights.tensors.values()]).toEqual([
      {
        name: 'w',
        format: 'BF16',
        shape: [2, 1],
        file: 'model.safetensors',
        offset: 8 + header.length,
        sizeInBytes: 4,
      },
    ]);
    expect(await weights.readFloats('w')).toEqual({ data: Float32Array.of(1, -2), shape: [2, 1] });
    const matrix = await weights.readMatrix('w');
    const row = new Float32Array(1);
    matrix.dequantizeRow(1, row);
    expect([matrix.format, matrix.shape, row[0]]).toEqual(['BF16', [2, 1], -2]);
  });

  it('decodes every bit pattern of F16 and BF16, and float32 unchanged, over more than one piece', async () => {
    const patterns = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);
    // Just over the 4 MiB that are converted at a time, so that a second piece begins inside the tensor.
    const long = Float32Array.from({ length: 2 ** 21 + 3 }, (_, i) => i % 251);
    const longHalf = new Uint8Array(long.length * 2);
    for (let i = 0; i < long.length; i++) longHalf[2 * i + 1] = 0x30 + (i % 7);
    const file = encodeSafetensors([
      { name: 'f16', dtype: 'F16', shape: [65536], bytes: patterns },
      { name: 'bf16', dtype: 'BF16', shape: [65536], bytes: patterns },
      { name: 'f32', dtype: 'F32', shape: [long.length], bytes: new Uint8Array(long.buffer) },
      { name: 'long', dtype: 'F16', shape: [long.length], bytes: longHalf },
    ]);
    const source = createCountingSource(createByteSource(file, 'model.safetensors'));
    const weights = await openSafetensors(source);
    expect(Array.from((await weights.readFloats('f16')).data)).toEqual(floatsOf(patterns, 'F16'));
    expect(Array.from((await weights.readFloats('bf16')).data)).toEqual(floatsOf(patterns, 'BF16'));
    expect(Buffer.from((await weights.readFloats('f32')).data.buffer).equals(Buffer.from(long.buffer))).toBe(true);
    source.reads.length = 0;
    const decoded = (await weights.readFloats('long')).data;
    // So a tensor costs its float32 form and one piece, never its stored form as a whole beside it.
    expect(source.reads.map(({ length }) => length)).toEqual([2 ** 22, 6]);
    const wanted = floatsOf(longHalf.subarray(0, 14), 'F16');
    for (let i = 0; i < long.length; i++) if (decoded[i] !== wanted[i % 7]) expect.fail(`index ${i}: ${decoded[i]}`);
  });

  it('reads only the header when it opens, and only its own range for a tensor', async () => {
    const bytes = encodeSafetensors([
      { name: 'a', dtype: 'F32', shape: [1000], bytes: new Uint8Array(4000) },
      { name: 'b', dtype: 'F32', shape: [10, 10], bytes: new Uint8Array(400).fill(1) },
      { name: 'c', dtype: 'F16', shape: [1000], bytes: new Uint8Array(2000) },
    ]);
    const headerLength = bytes.length - 6400 - 8;
    const source = createCountingSource(createByteSource(bytes, 'model.safetensors'));
    const weights = await openSafetensors(source);
    expect(source.reads).toEqual([
      { offset: 0, length: 8 },
      { offset: 8, length: headerLength },
    ]);
    for (const read of ['readBytes', 'readFloats', 'readMatrix'] as const) {
      source.reads.length = 0;
      await weights[read]('b');
      expect(source.reads, read).toEqual([{ offset: 8 + headerLength + 4000, length: 400 }]);
    }
    source.reads.length = 0;
    await weights.readFloats('c');
    expect(source.reads).toEqual([{ offset: 8 + headerLength + 4400, length: 2000 }]);
  });

  it('reads straight into the array it is given', async () => {
    const weights = await open(forgeOne({}));
    const memory = new Uint8Array(20);
    const into = memory.subarray(3, 11);
    expect(await weights.readBytes('a', into)).toBe(into);
    expect([...memory.subarray(2, 12)]).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 7, 0]);
    await expect(weights.readBytes('a', new Uint8Array(9))).rejects.toThrow(
      'SHAPE readBytes(into): expected 8 bytes, got 9 (file model.safetensors, tensor a)',
    );
  });

  it('gives the caller bytes of its own', async () => {
    const file = forgeOne({});
    const weights = await open(file);
    (await weights.readBytes('a')).fill(99);
    expect((await weights.readBytes('a'))[0]).toBe(0);
  });

  it('lists tensors in the order of their data, frozen', async () => {
    const file = encodeSafetensors([
      { name: 'z', dtype: 'F32', shape: [1], bytes: new Uint8Array(4) },
      { name: 'a', dtype: 'U8', shape: [1], bytes: new Uint8Array(1) },
    ]);
    const { tensors } = await open(file);
    expect([...tensors.keys()]).toEqual(['z', 'a']);
    expect(Object.isFrozen(tensors.get('z'))).toBe(true);
    expect(Object.isFrozen(tensors.get('z')!.shape)).toBe(true);
  });

  it('rejects unknown options, limits that are none, unknown names, and a matrix of another rank', async () => {
    await expect(open(forgeOne({}), { allowHole: true })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(open(forgeOne({}), { maxTensors: Number.NaN })).rejects.toMatchObject({ code: 'ARGUMENT' });
    const weights = await open(forgeOne({}));
    await expect(weights.readFloats('b\n')).rejects.toThrow(
      "TENSOR_NOT_FOUND readFloats(name): expected the name of a tensor of this checkpoint, got 'b\\u000a' (file model.safetensors)",
    );
    await expect(weights.readMatrix('a')).rejects.toThrow(
      /^SHAPE readMatrix\(name\): expected a tensor of two dimensions, got \[2\]/,
    );
    await weights.close();
    await expect(weights.readBytes('a')).rejects.toMatchObject({ code: 'FILE_CLOSED' });
  });
});

describe('properties', () => {
  const sizes = { F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, U8: 1, BOOL: 1, F8_E4M3: 1, C64: 8 } as const;
  const tensor = fc
    .record({
      name: fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 20 }).filter((name) => !/\p{C}/u.test(name)),
        fc.constantFrom(
          '__proto__',
          'constructor',
          'model.layers.0.self_attn.qkv_proj.weight',
          '"',
          '\\',
          '😀',
          '\uffff',
        ),
      ),
      dtype: fc.constantFrom(...(Object.keys(sizes) as (keyof typeof sizes)[])),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
      seed: fc.nat(255),
    })
    .map(({ name, dtype, shape, seed }): TensorInMemory => {
      const size = shape.reduce((product, dimension) => product * dimension, sizes[dtype]);
      return { name, dtype, shape, bytes: Uint8Array.from({ length: size }, (_, i) => (i * 37 + seed) & 255) };
    });
  const tensorList = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 });

  it('what is written reads back, whatever the dtypes and shapes, and in any order gives the same bytes', async () => {
    const metadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(tensorList, metadata, async (list, strings) => {
        const file = encodeSafetensors(list, { metadata: strings });
        expect(encodeSafetensors([...list].reverse(), { metadata: strings })).toEqual(file);
        const weights = await open(file);
        expect([...weights.metadata].sort()).toEqual(Object.entries(strings).sort());
        expect(weights.tensors.size).toBe(list.length);
        for (const { name, dtype, shape, bytes } of list) {
          const stored = weights.tensors.get(name)!;
          expect([stored.format, stored.shape, stored.offset % sizes[dtype as keyof typeof sizes]]).toEqual([
            dtype,
            shape,
            0,
          ]);
          expect(await weights.readBytes(name)).toEqual(bytes);
          if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') {
            expect((await weights.readFloats(name)).data).toEqual(decodeFloats(bytes, dtype as FloatDtype));
          }
        }
      }),
      { seed: 10, numRuns: 300 },
    );
  });

  /** Opens and reads everything; the result is a list of tensors or a typed error, and no read leaves the file. */
  async function outcome(file: Uint8Array): Promise<string> {
    const source = createCountingSource(createByteSource(file, 'model.safetensors'));
    let result: string;
    try {
      const weights = await openSafetensors(source);
      for (const name of weights.tensors.keys()) await weights.readBytes(name);
      result = JSON.stringify([...weights.tensors.values()]);
      await weights.close();
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
      result = error.code;
    }
    expect(source.isClosed).toBe(true);
    for (const { offset, length } of source.reads) expect(offset + length).toBeLessThanOrEqual(file.length);
    return result;
  }

  const small = encodeSafetensors(
    [
      { name: 'a', dtype: 'F32', shape: [2, 3], bytes: new Uint8Array(24) },
      { name: 'b', dtype: 'BF16', shape: [4], bytes: new Uint8Array(8) },
      { name: 'c', dtype: 'U8', shape: [0, 5], bytes: new Uint8Array(0) },
    ],
    { metadata: { format: 'pt' } },
  );

  it('every flip of a bit, and every byte replaced by one that means something to JSON, gives a typed error or a list that fits', async () => {
    const intact = await outcome(small);
    const meaningful = [...new TextEncoder().encode('{}[]",:\\-.0129eFU \n'), 0, 0xff];
    for (let position = 0; position < small.length; position++) {
      const original = small[position]!;
      const isData = position >= small.length - 32;
      const flipped = Array.from({ length: 8 }, (_, bit) => original ^ (1 << bit));
      for (const value of isData ? flipped : [...flipped, ...meaningful]) {
        const file = small.slice();
        file[position] = value;
        const result = await outcome(file);
        // In the data a flip changes numbers, never the list; in the header it may rename, but what is listed must fit.
        if (isData) expect(result).toBe(intact);
      }
    }
  });

  it('every truncation gives a typed error', async () => {
    for (let length = 0; length < small.length; length++) {
      expect(await outcome(small.slice(0, length)), `${length} bytes`).toMatch(/^(ST|FILE)_/);
    }
  });

  it('bytes at random, and random tokens as header, give a typed error or a list of tensors', async () => {
    const token = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"b"',
      '"dtype"',
      '"shape"',
      '"data_offsets"',
      '"F32"',
      '"U8"',
      '0',
      '4',
      '1',
      '-1',
      '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}',
      '"__metadata__"',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(token, { maxLength: 14 }), fc.uint8Array({ maxLength: 8 }), async (tokens, data) => {
        const header = new TextEncoder().encode(tokens.join(''));
        await outcome(Uint8Array.of(header.length, 0, 0, 0, 0, 0, 0, 0, ...header, ...data));
        await outcome(data);
      }),
      { seed: 11, numRuns: 2000 },
    );
  });
});

describeWithShared('goldens', 'goldens', () => {
  const files = readdirSync(sharedPath('goldens'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.safetensors'))
    .sort();

  it('there are models among them', () => {
    expect(files.filter((file) => /model.*\.safetensors$/.test(file)).length).toBeGreaterThan(10);
  });

  it.each(files)('%s reads as the independent reader reads it; a model is written back byte for byte', async (name) => {
    const file = new Uint8Array(readFileSync(sharedPath('goldens', name)));
    const weights = await open(file);
    const expected = readTrusting(file);
    expect(weights.tensors.size).toBe(expected.length);
    const copies: TensorInMemory[] = [];
    for (const { name: tensorName, dtype, shape, offset, bytes } of expected) {
      const stored = weights.tensors.get(tensorName)!;
      expect([stored.format, stored.shape, stored.offset]).toEqual([dtype, shape, offset]);
      const read = await weights.readBytes(tensorName);
      expect(Buffer.from(read).equals(Buffer.from(bytes)), tensorName).toBe(true);
      copies.push({ name: tensorName, dtype: dtype as 'F32', shape, bytes: read });
      if (!['F32', 'F16', 'BF16'].includes(dtype)) continue;
      const { data } = await weights.readFloats(tensorName);
      const wanted = floatsOf(bytes, dtype);
      for (let i = 0; i < wanted.length; i++) {
        if (!Object.is(data[i], wanted[i])) expect.fail(`${tensorName}[${i}]: ${data[i]} against ${wanted[i]}`);
      }
    }
    // The models were written by the reference implementation. The expected values were written in order of name.
    if (name.endsWith('expected.safetensors')) return;
    expect(Buffer.from(encodeSafetensors(copies, { metadata: weights.metadata })).equals(Buffer.from(file))).toBe(true);
  });

  it.each(files.filter((file) => file.endsWith('expected.safetensors')))(
    '%s agrees with the golden loader',
    async (name) => {
      const golden = loadGolden(name.replace('/expected.safetensors', ''));
      const weights = await open(new Uint8Array(readFileSync(join(golden.path, 'expected.safetensors'))));
      for (const tensor of golden.tensors.values()) {
        const { format } = weights.tensors.get(tensor.name)!;
        const data =
          format === 'F32' ? (await weights.readFloats(tensor.name)).data : await weights.readBytes(tensor.name);
        const wanted = format === 'F32' ? tensor.data : new Uint8Array(tensor.data.buffer);
        expect(Buffer.from(data.buffer).equals(Buffer.from(wanted.buffer, wanted.byteOffset, wanted.byteLength))).toBe(
          true,
        );
      }
    },
  );
});
