import { spawnSync } from 'node:child_process';
import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createByteSource, encodeGguf, encodeSafetensors, openSafetensors, type TensorToWrite } from '../src/index.ts';
import { fileError } from '../src/node/file-error.ts';
import { readFully } from '../src/node/open-file-source.ts';
import { openFileSource, openSafetensorsDirectory, writeGgufFile, writeSafetensorsFile } from '../src/node.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-node-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Much faster than `toEqual` on long arrays. */
function expectSameBytes(actual: ArrayBufferView, expected: ArrayBufferView): void {
  const asBuffer = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  expect(asBuffer(actual).equals(asBuffer(expected))).toBe(true);
}

const tensor = { name: 'a', dtype: 'F32', shape: [2], bytes: new Uint8Array(8).fill(1) } as const;

describe('openFileSource', () => {
  it('reads ranges into new bytes or into those given, and rejects others', async () => {
    const path = join(folder, 'ten.bin');
    await writeFile(
      path,
      Uint8Array.from({ length: 10 }, (_, i) => i),
    );
    const source = await openFileSource(path);
    expect([source.name, source.sizeInBytes]).toEqual(['ten.bin', 10]);
    expect(await source.read(2, 3)).toEqual(Uint8Array.of(2, 3, 4));
    const into = new Uint8Array(4).subarray(1, 3);
    expect(await source.read(8, 2, into)).toBe(into);
    expect([...new Uint8Array(into.buffer)]).toEqual([0, 8, 9, 0]);
    await expect(source.read(8, 3)).rejects.toMatchObject({ code: 'FILE_RANGE' });
    await expect(source.read(0, 3, into)).rejects.toMatchObject({ code: 'SHAPE' });
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'FILE_CLOSED' });
  });

  it('ST-29 notices that the file was shortened, lengthened or written to; one renamed over it does not matter', async () => {
    const path = join(folder, 'changing.safetensors');
    const file = encodeSafetensors([tensor]);
    const changes: [string, () => Promise<void>, 'FILE_CHANGED' | 'as it was'][] = [
      ['shortened', () => truncate(path, file.length - 1), 'FILE_CHANGED'],
      ['emptied', () => truncate(path, 0), 'FILE_CHANGED'],
      ['lengthened', () => appendFile(path, 'x'), 'FILE_CHANGED'],
      // The time is set by hand, so that the test does not wait for the clock of the file system to move on.
      ['written in place', () => utimes(path, 1, 1), 'FILE_CHANGED'],
      [
        'replaced',
        async () => {
          await writeFile(`${path}.new`, new Uint8Array(file.length));
          await rename(`${path}.new`, path);
        },
        'as it was',
      ],
    ];
    for (const [what, change, expected] of changes) {
      await writeFile(path, file);
      const weights = await openSafetensors(await openFileSource(path));
      await change();
      const into = new Uint8Array(8).fill(7);
      const result = weights.readBytes('a', into);
      if (expected === 'as it was') expect(await result, what).toEqual(tensor.bytes);
      else
        await expect(result, what).rejects.toMatchObject({ code: expected, where: { file: 'changing.safetensors' } });
      await weights.close();
    }
  });

  it('reads beyond 4 GiB', async () => {
    const path = join(folder, 'sparse.bin');
    const handle = await open(path, 'w');
    const offset = 2 ** 32 + 12345;
    await handle.write(Uint8Array.of(1, 2, 3), 0, 3, offset); // the hole before it takes no room on the disk
    await handle.close();
    const source = await openFileSource(path);
    expect(source.sizeInBytes).toBe(offset + 3);
    expect(await source.read(offset, 3)).toEqual(Uint8Array.of(1, 2, 3));
    await source.close();
  });

  it('opens safetensors whose second tensor begins beyond 4 GiB', async () => {
    const path = join(folder, 'sparse.safetensors');
    const half = 2 ** 32 + 8;
    const header = `{"a":{"dtype":"U8","shape":[${half}],"data_offsets":[0,${half}]},"b":{"dtype":"F32","shape":[1],"data_offsets":[${half},${half + 4}]}}`;
    const handle = await open(path, 'w');
    await handle.write(Uint8Array.of(header.length, 0, 0, 0, 0, 0, 0, 0), 0, 8, 0);
    await handle.write(header, 8);
    await handle.write(Uint8Array.of(0, 0, 0x80, 0x3f), 0, 4, 8 + header.length + half);
    await handle.close();
    const weights = await openSafetensors(await openFileSource(path));
    expect((await weights.readFloats('b')).data[0]).toBe(1);
    await weights.close();
  });

  it('reads in pieces no larger than the system takes, however few bytes each call gives', async () => {
    const calls: [number, number][] = [];
    const handle = {
      async read(into: Uint8Array, start: number, length: number, position: number) {
        calls.push([length, position]);
        const bytesRead = Math.min(length, 3);
        for (let i = 0; i < bytesRead; i++) into[start + i] = position + i;
        return { bytesRead };
      },
    };
    const into = new Uint8Array(9);
    expect(await readFully(handle, 100, into, 4)).toBe(9);
    expect([...into]).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108]);
    expect(calls).toEqual([
      [4, 100],
      [4, 103],
      [3, 106],
    ]);
    expect(await readFully({ read: async () => ({ bytesRead: 0 }) }, 0, into, 4)).toBe(0);
  });

  it('says what it cannot open', async () => {
    await expect(openFileSource(join(folder, 'absent'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(openFileSource(folder)).rejects.toMatchObject({ code: 'FILE_NOT_REGULAR' });
    await expect(openFileSource('/dev/null')).rejects.toMatchObject({ code: 'FILE_NOT_REGULAR' });
    await expect(openFileSource(join(folder, 'a\0b'))).rejects.toMatchObject({ code: 'FILE_READ' });
    await expect(openFileSource(folder, { title: 'x' } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    const pipe = join(folder, 'pipe');
    if (spawnSync('mkfifo', [pipe]).status === 0) {
      await expect(openFileSource(pipe)).rejects.toMatchObject({ code: 'FILE_NOT_REGULAR' });
    }
  });
});

describe('writeGgufFile', () => {
  it('writes what encodeGguf encodes, over what was there, and leaves nothing behind when it fails', async () => {
    const target = join(folder, 'gguf');
    await mkdir(target);
    const path = join(target, 'model.gguf');
    const metadata = new Map([['general.architecture', { type: 'string', value: 'phi3' } as const]]);
    const ggufTensor = { name: 'a', format: 'F32', shape: [2], bytes: new Uint8Array(8).fill(1) };
    const file = encodeGguf({ metadata, tensors: [ggufTensor] });
    for (let run = 0; run < 2; run++) {
      expect(await writeGgufFile(path, { metadata, tensors: [ggufTensor] })).toBe(file.length);
      expectSameBytes(await readFile(path), file);
    }
    const bytes = () => Promise.reject(new Error('from the caller'));
    const failing = writeGgufFile(path, { metadata, tensors: [{ ...ggufTensor, bytes }] });
    await expect(failing).rejects.toThrow('from the caller');
    expect(await readdir(target)).toEqual(['model.gguf']);
    expectSameBytes(await readFile(path), file);
  });
});

describe('writeSafetensorsFile', () => {
  it('writes what encodeSafetensors encodes, over what was there', async () => {
    const path = join(folder, 'written.safetensors');
    const file = encodeSafetensors([tensor], { metadata: { format: 'pt' } });
    for (let run = 0; run < 2; run++) {
      expect(await writeSafetensorsFile(path, [tensor], { metadata: { format: 'pt' } })).toBe(file.length);
      expect(new Uint8Array(await readFile(path))).toEqual(file);
    }
  });

  it('may take its tensors from the file that it replaces', async () => {
    const path = join(folder, 'in-place.safetensors');
    await writeSafetensorsFile(path, [tensor]);
    const weights = await openSafetensors(await openFileSource(path));
    const copy: TensorToWrite = { ...tensor, name: 'renamed', bytes: () => weights.readBytes('a') };
    await writeSafetensorsFile(path, [copy]);
    await weights.close();
    expect(new Uint8Array(await readFile(path))).toEqual(encodeSafetensors([{ ...tensor, name: 'renamed' }]));
  });

  it('leaves the target as it was and no temporary file when something fails', async () => {
    const target = join(folder, 'failing');
    await mkdir(target);
    const path = join(target, 'model.safetensors');
    await writeFile(path, 'old');
    const failing: [string, readonly TensorToWrite[], object][] = [
      [
        'own error',
        [{ ...tensor, bytes: () => Promise.reject(new Error('from the caller')) }],
        { message: 'from the caller' },
      ],
      ['wrong size', [{ ...tensor, bytes: () => new Uint8Array(1) }], { code: 'SHAPE' }],
      ['bad name', [{ ...tensor, name: '__metadata__' }], { code: 'ARGUMENT' }],
    ];
    for (const [what, tensors, expected] of failing) {
      await expect(writeSafetensorsFile(path, tensors), what).rejects.toMatchObject(expected);
      expect(await readdir(target), what).toEqual(['model.safetensors']);
      expect(await readFile(path, 'utf8')).toBe('old');
    }
    // A folder cannot be replaced by a file.
    await mkdir(join(target, 'folder.safetensors'));
    await expect(writeSafetensorsFile(join(target, 'folder.safetensors'), [tensor])).rejects.toMatchObject({
      code: 'FILE_NOT_REGULAR',
    });
    expect((await readdir(target)).sort()).toEqual(['folder.safetensors', 'model.safetensors']);
    await expect(writeSafetensorsFile(join(folder, 'absent', 'x'), [tensor])).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('writes twice at once without mixing', async () => {
    const path = join(folder, 'race.safetensors');
    const fill = (value: number): TensorToWrite => ({
      ...tensor,
      shape: [50_000],
      bytes: new Uint8Array(200_000).fill(value),
    });
    await Promise.all([1, 2, 3, 4].map((value) => writeSafetensorsFile(path, [fill(value)])));
    const data = (await readFile(path)).subarray(-200_000);
    expect(data.every((byte) => byte === data[0])).toBe(true);
  });
});

describe('fileError', () => {
  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EDQUOT', 'DISK_FULL'],
    ['ENOENT', 'FILE_NOT_FOUND'],
    ['ENOTDIR', 'FILE_NOT_FOUND'],
    ['EISDIR', 'FILE_NOT_REGULAR'],
    ['ELOOP', 'IX_SYMLINK'],
    ['EACCES', 'FILE_READ'],
    ['EIO', 'FILE_READ'],
  ])('%s is %s, with the cause kept', (systemCode, code) => {
    const cause = Object.assign(new Error('from the system'), { code: systemCode });
    expect(fileError(cause, 'read', 'x', 'FILE_READ')).toMatchObject({ code, cause, got: systemCode });
  });
});

describeWithShared('golden folders', 'goldens/phi3-gqa4-a', () => {
  it('opens a sharded and a single checkpoint as the bytes of its files say', async () => {
    for (const [name, count, files] of [
      ['phi3-gqa4-a', 21, ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']],
      ['phi3-mha-a', 15, ['model.safetensors']],
    ] as const) {
      const weights = await openSafetensorsDirectory(sharedPath('goldens', name));
      expect(weights.warnings).toEqual([]);
      expect(weights.tensors.size).toBe(count);
      let total = 0;
      for (const file of files) {
        const shard = await openSafetensors(
          createByteSource(new Uint8Array(await readFile(sharedPath('goldens', name, file))), file),
        );
        for (const stored of shard.tensors.values()) {
          expect(weights.tensors.get(stored.name)).toEqual(stored);
          expectSameBytes(await weights.readBytes(stored.name), await shard.readBytes(stored.name));
          const floats = await weights.readFloats(stored.name);
          expect(floats.shape).toEqual(stored.shape);
          expectSameBytes(floats.data, (await shard.readFloats(stored.name)).data);
          if (stored.shape.length === 2) {
            const matrix = await weights.readMatrix(stored.name);
            const row = new Float32Array(stored.shape[1]!);
            matrix.dequantizeRow(stored.shape[0]! - 1, row);
            expect(row).toEqual((await shard.readFloats(stored.name)).data.subarray(-row.length));
          }
          total++;
        }
      }
      expect(total).toBe(count);
      await weights.close();
    }
  });
});
