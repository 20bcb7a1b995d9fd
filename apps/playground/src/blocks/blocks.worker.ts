import { chooseBackend } from '@phiblocks/runtime';
import { type BackendChoiceName, backendNames } from '../backends.ts';
import { type BlockCase, blockCases } from './block-cases.ts';
import type { BlockResult } from './block-result.ts';

// One block on one backend after the other; the page ends this worker when it has all answers.
addEventListener('message', async ({ data }: MessageEvent<number>) => {
  for (const backend of backendNames) postMessage(await runOn(blockCases[data]!, backend));
});

async function runOn(block: BlockCase, name: BackendChoiceName): Promise<BlockResult> {
  try {
    const chosen = await chooseBackend({ backend: name, ...(name === 'wasm' ? { threads: 1 } : {}) });
    try {
      await block.run(chosen.backend); // kernels are built
      const started = performance.now();
      const { data: values } = await block.run(chosen.backend);
      const elapsedMs = performance.now() - started;
      return { backend: name, values, elapsedMs, acceleration: chosen.report().acceleration };
    } finally {
      await chosen.dispose();
    }
  } catch (error) {
    return { backend: name, failure: error instanceof Error ? error.message : String(error) };
  }
}
