import { describe, expect, it } from 'vitest';
import { createBlobSource, createByteSource, openSafetensors } from './index.ts';
import { encodeSafetensors } from './safetensors/write-safetensors.ts';

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);

describe.each([
  ['createByteSource', () => createByteSource(bytes, 'x.bin')],
  ['createBlobSource', () => createBlobSource(new Blob([bytes]), 'x.bin')],
])('%s', (_, create) => {
  it('reads ranges into new bytes or into those given', async () => {
    const source = create();
    expect([source.name, source.sizeInBytes]).toEqual(['x.bin', 100]);
    expect(await source.read(10, 3)).toEqual(Uint8Array.of(10, 11, 12));
    const into = new Uint8Array(2);
    expect(await source.read(98, 2, into)).toBe(into);
    expect([...into]).toEqual([98, 99]);
    expect(await source.read(100, 0)).toEqual(new Uint8Array(0));
    const { read } = source;
    expect(await read(0, 1)).toEqual(Uint8Array.of(0));
  });

  it('rejects ranges outside, whatever the numbers, and a wrong `into`', async () => {
    const source = create();
    for (const [offset, length] of [
      [99, 2],
      [101, 0],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, 1.5],
      [Number.NaN, 1],
      [0, Number.NaN],
      [2 ** 53, 1],
      [0, Number.POSITIVE_INFINITY],
    ]) {
      await expect(source.read(offset!, length!), `${offset} ${length}`).rejects.toMatchObject({ code: 'FILE_RANGE' });
    }
    await expect(source.read(99, 2)).rejects.toThrow(
      "FILE_RANGE read: expected a range within the 100 bytes of the file, got '2 bytes from 99' (file x.bin, offset 99)",
    );
    await expect(source.read(0, 2, new Uint8Array(3))).rejects.toMatchObject({ code: 'SHAPE' });
  });

  it('is closed once and for all', async () => {
    const source = create();
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'FILE_CLOSED' });
  });
});

describe('createByteSource', () => {
  it('copies, also from a Buffer, whose slice would not', async () => {
    const buffer = Buffer.from([1, 2, 3]);
    (await createByteSource(buffer, 'x').read(0, 3)).fill(9);
    expect([...buffer]).toEqual([1, 2, 3]);
  });
});

describe('createBlobSource', () => {
  it('reads slices only, and a large range in pieces', async () => {
    const slices: number[] = [];
    const size = 130 * 2 ** 20;
    // A Blob of which no slice has more than it is asked for; the whole never exists.
    const blob = {
      size,
      slice: (start: number, end: number) => {
        slices.push(end - start);
        return { arrayBuffer: async () => new Uint8Array(end - start).fill(start / 2 ** 26).buffer };
      },
    } as Blob;
    const source = createBlobSource(blob, 'x');
    const into = new Uint8Array(size - 8);
    await source.read(8, size - 8, into);
    expect(slices).toEqual([2 ** 26, 2 ** 26, 2 * 2 ** 20 - 8]);
    expect([into[0], into[2 ** 26], into[2 ** 27]]).toEqual([0, 1, 2]);
  });

  it('ST-29 says so when the file behind it was changed', async () => {
    const refusing = { size: 10, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('NotReadableError')) }) };
    const short = { size: 10, slice: () => ({ arrayBuffer: async () => new ArrayBuffer(1) }) };
    for (const blob of [refusing, short]) {
      await expect(createBlobSource(blob as never, 'x').read(0, 4)).rejects.toMatchObject({ code: 'FILE_CHANGED' });
    }
  });

  it('opens safetensors', async () => {
    const file = encodeSafetensors([{ name: 'a', dtype: 'F32', shape: [1], bytes: Uint8Array.of(0, 0, 128, 63) }]);
    const weights = await openSafetensors(createBlobSource(new Blob([file as Uint8Array<ArrayBuffer>]), 'x'));
    expect((await weights.readFloats('a')).data[0]).toBe(1);
  });
});
