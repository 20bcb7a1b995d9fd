import type { Backend } from '@phiblocks/tensor';
import { readSharedFile } from '@phiblocks/testing/browser';
import { createByteSource } from '@phiblocks/weights';
import { createLanguageModel, type LanguageModel, openCheckpointFiles } from '../../src/index.ts';

/** A checkpoint folder of the shared reference data on a backend; `await using` frees it. */
export async function openSharedModel(path: string, backend: Backend): Promise<LanguageModel & AsyncDisposable> {
  const checkpoint = await openCheckpointFiles({
    name: path,
    open: async (file) => {
      const bytes = await readSharedFile(`${path}/${file}`);
      return bytes && createByteSource(bytes, file);
    },
  });
  const model = await createLanguageModel(checkpoint, { backend });
  return Object.assign(model, { [Symbol.asyncDispose]: () => model.dispose() });
}
