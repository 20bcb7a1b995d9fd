import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { collect } from '@phiblocks/runtime';
import { loadModel } from '@phiblocks/runtime/node';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { getLlama, type Llama, LlamaLogLevel, type Token } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLlamaLibrary } from '../src/llama-library.ts';

const { missing } = await findLlamaLibrary();
const because = missing === undefined ? '' : ` (skipped: ${missing})`;

const numTokens = 60;
const beginOfText = 1; // of the model's vocabulary, which is llama2.c's

describeWithShared('models that phiblocks quantize writes', 'models/stories260k-phi3', () => {
  describe.skipIf(missing !== undefined)(`in llama.cpp${because}`, () => {
    const checkpoint = sharedPath('models/stories260k-phi3');
    let folder = '';
    let llama: Llama;
    let expected: readonly number[];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'phiblocks llama '));
      // The build that came with the package, on the processor: nothing is fetched or compiled.
      llama = await getLlama({ build: 'never', gpu: false, maxThreads: 1, logLevel: LlamaLogLevel.error });
      expected = await greedyTokens(checkpoint);
    }, 120_000);
    afterAll(async () => {
      await llama?.dispose();
      await rm(folder, { recursive: true });
    });

    it.each(['f32', 'f16'])(
      '%s: the greedy tokens of our reference backend',
      async (format) => {
        const file = join(folder, `${format}.gguf`);
        await phiblocks('quantize', '--model', checkpoint, '--to', format, '--out', file);
        const theirs = await greedyTokensOfLlama(llama, file);
        expect(theirs).toHaveLength(numTokens);
        expect(theirs).toEqual(expected);
        expect(await greedyTokens(file)).toEqual(theirs);
      },
      120_000,
    );
  });
});

async function greedyTokens(path: string): Promise<readonly number[]> {
  const model = await loadModel(path, { backend: 'reference' });
  try {
    const prompt = { promptIds: [beginOfText], maxNewTokens: numTokens, ignoreEos: true };
    return [...(await collect(model.generate(prompt))).ids];
  } finally {
    await model.dispose();
  }
}

async function greedyTokensOfLlama(llama: Llama, modelPath: string): Promise<number[]> {
  const model = await llama.loadModel({ modelPath });
  try {
    const context = await model.createContext({ contextSize: 128, threads: 1 });
    const tokens: number[] = [];
    const evaluation = context.getSequence().evaluate([beginOfText as Token], { temperature: 0, yieldEogToken: true });
    for await (const token of evaluation) {
      tokens.push(token);
      if (tokens.length === numTokens) break;
    }
    return tokens;
  } finally {
    await model.dispose();
  }
}

/** Runs the built command line. */
async function phiblocks(...args: string[]): Promise<void> {
  const manifest = createRequire(import.meta.url).resolve('@phiblocks/cli/package.json');
  await promisify(execFile)(process.execPath, [join(dirname(manifest), 'dist/cli.js'), ...args]);
}
