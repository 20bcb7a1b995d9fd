import { describe, expect, it } from 'vitest';
import { bytesPerElement, createFloatTensor, decodeFloats, encodeFloats, expectShape, sizeOfShape } from './index.ts';

describe('shapes', () => {
  it('sizeOfShape multiplies, and a scalar has one element', () => {
    expect(sizeOfShape([])).toBe(1);
    expect(sizeOfShape([3, 0, 2])).toBe(0);
  });

  it('sizeOfShape rejects what is not a size', () => {
    for (const shape of [[-1], [1.5], [Number.NaN], [2 ** 53], [2 ** 30, 2 ** 30]]) {
      expect(() => sizeOfShape(shape)).toThrow(/^SHAPE sizeOfShape\(shape\)/);
    }
  });

  it('createFloatTensor keeps the array and checks its length', () => {
    const data = new Float32Array(6);
    expect(createFloatTensor(data, [2, 3]).data).toBe(data);
    expect(() => createFloatTensor(data, [2, 2])).toThrow(/SHAPE createFloatTensor\(shape\): expected a product of 6/);
  });

  it('expectShape says which argument of which function', () => {
    const tensor = { data: new Float32Array(6), shape: [2, 3] };
    const where = { function: 'rmsNorm', argument: 'hidden' };
    expectShape(tensor, [null, 3], where);
    expect(() => expectShape(tensor, [null, 4], where)).toThrow(
      'SHAPE rmsNorm(hidden): expected shape [any, 4], got [2, 3]',
    );
    expect(() => expectShape(tensor, [6], where)).toThrow(/expected shape \[6\]/);
    expect(() => expectShape({ data: new Float32Array(5), shape: [2, 3] }, [2, 3], where)).toThrow(
      /expected 6 elements/,
    );
  });
});

describe('dtypes', () => {
  const values = new Float32Array([0, -1.5, 65504, 2 ** -14]);

  it.each(['F32', 'F16', 'BF16'] as const)('%s: decode undoes encode, at any alignment', (dtype) => {
    const bytes = encodeFloats(values, dtype);
    expect(bytes.byteLength).toBe(values.length * bytesPerElement(dtype));
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const decoded = decodeFloats(shifted.subarray(1), dtype);
    const expected = dtype === 'BF16' ? new Float32Array([0, -1.5, 65536, 2 ** -14]) : values;
    expect(decoded).toEqual(expected);
  });

  it('fills the array it is given', () => {
    const out = new Float32Array(4);
    expect(decodeFloats(encodeFloats(values, 'F32'), 'F32', out)).toBe(out);
    expect(out).toEqual(values);
  });

  it('rejects half an element, a wrong length and an unknown dtype', () => {
    expect(() => decodeFloats(new Uint8Array(3), 'F16')).toThrow(/SHAPE decodeFloats\(bytes\)/);
    expect(() => decodeFloats(new Uint8Array(4), 'F16', new Float32Array(1))).toThrow(/SHAPE decodeFloats\(out\)/);
    expect(() => bytesPerElement('F64' as never)).toThrow(/ARGUMENT bytesPerElement\(dtype\)/);
  });
});
