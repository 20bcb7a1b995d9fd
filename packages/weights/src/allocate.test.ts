import { expect, it } from 'vitest';
import { allocateBytes } from './allocate.ts';

it('PF-14 what no engine allocates is OOM, with the size and the file', () => {
  const allocate = () => allocateBytes(Number.MAX_SAFE_INTEGER, { file: 'model.gguf', tensor: 'huge' });
  expect(allocate).toThrow(/^OOM read.*no room for 9007199254740991 bytes/);
  expect(allocateBytes(3, { file: 'model.gguf' })).toHaveLength(3);
});
