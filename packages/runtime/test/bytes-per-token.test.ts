import type { ModelConfig } from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import { cacheBytesPerStep, weightBytesPerToken } from '../src/index.ts';
import { openTinyCheckpoint } from './tiny-checkpoint.ts';
import { openTinyMember } from './tiny-members.ts';

async function totalOf(checkpoint: { weights: { tensors: ReadonlyMap<string, { sizeInBytes: number }> } }, part = '') {
  let bytes = 0;
  for (const [name, { sizeInBytes }] of checkpoint.weights.tensors) if (name.includes(part)) bytes += sizeInBytes;
  return bytes;
}

describe('weightBytesPerToken', () => {
  it('counts one row of the embedding, or all of it where it is the head', async () => {
    const checkpoint = await openTinyCheckpoint();
    const { vocabSize, hiddenSize } = checkpoint.config;
    const unread = 4 * (vocabSize - 1) * hiddenSize;
    expect(weightBytesPerToken(checkpoint)).toBe((await totalOf(checkpoint)) - unread);
    const tied = { ...checkpoint, config: { ...checkpoint.config, tieWordEmbeddings: true } as ModelConfig };
    expect(weightBytesPerToken(tied)).toBe(await totalOf(checkpoint));
  });

  it('counts two experts of each layer', async () => {
    const checkpoint = await openTinyMember('phimoe');
    const { config } = checkpoint;
    if (config.modelType !== 'phimoe') throw new Error('not a mixture of experts');
    const experts = await totalOf(checkpoint, '.experts.');
    const embedding = await totalOf(checkpoint, 'embed_tokens');
    const read = (await totalOf(checkpoint)) - experts * (1 - 2 / config.numLocalExperts);
    expect(weightBytesPerToken(checkpoint)).toBeCloseTo(read - embedding * (1 - 1 / config.vocabSize), 6);
  });

  it('leaves out the image encoder, and asks how large a tensor is', async () => {
    const checkpoint = await openTinyMember('phi3_v');
    const image = await totalOf(checkpoint, 'vision_embed_tokens');
    const embedding = await totalOf(checkpoint, 'model.embed_tokens');
    const expected = (await totalOf(checkpoint)) - image - embedding * (1 - 1 / checkpoint.config.vocabSize);
    expect(weightBytesPerToken(checkpoint)).toBe(expected);
    expect(weightBytesPerToken(checkpoint, ({ sizeInBytes }) => 2 * sizeInBytes)).toBe(2 * expected);
  });
});

describe('cacheBytesPerStep', () => {
  it('of Phi-3-mini is 393,216 bytes for each position in float16, inside its window', async () => {
    const { config } = await openTinyCheckpoint();
    const mini = {
      ...config,
      numHiddenLayers: 32,
      numAttentionHeads: 32,
      numKeyValueHeads: 32,
      headDim: 96,
    } as ModelConfig;
    expect(cacheBytesPerStep(mini, 64, 'f16')).toBe(64 * 393_216);
    expect(cacheBytesPerStep(mini, 64)).toBe(64 * 2 * 393_216);
    // One byte for each number, and a float32 scale for each head's key and value.
    expect(cacheBytesPerStep(mini, 64, 'q8')).toBe(64 * (393_216 / 2 + 32 * 32 * 8));
    const windowed = { ...mini, slidingWindow: 2047 } as ModelConfig;
    expect(cacheBytesPerStep(windowed, 4096, 'f16')).toBe(2047 * 393_216);
    expect(cacheBytesPerStep(windowed, 100, 'f16')).toBe(100 * 393_216);
  });

  it('of block-sparse layers counts what a group of heads sees', async () => {
    const { config } = await openTinyMember('phi3small');
    if (config.modelType !== 'phi3small') throw new Error('not Phi-3-small');
    const { blocksparseBlockSize: size, blocksparseNumLocalBlocks: local, blocksparseVertStride: stride } = config;
    const { numAttentionHeads: H, numKeyValueHeads: K, denseAttentionEveryNLayers: every = 0 } = config;
    // The published code: head h sees block b of the past where (b + 1 + h · ⌊stride / H⌋) mod stride is 0.
    const step = config.blocksparseHomoHeadPattern ? 0 : Math.max(1, Math.floor(stride / H));
    for (const length of [1, 7, 40, 61]) {
      let numbers = 0;
      for (let layer = 0; layer < config.numHiddenLayers; layer++) {
        const isDense = every > 0 && (layer + 1) % every === 0;
        for (let keyHead = 0; keyHead < K; keyHead++) {
          for (let other = 0; other < length; other++) {
            const block = Math.floor(other / size);
            let sees = isDense || Math.floor((length - 1) / size) - block < local;
            for (let h = (keyHead * H) / K; h < ((keyHead + 1) * H) / K; h++)
              sees ||= (block + h * step + 1) % stride === 0;
            if (sees) numbers += 2 * config.headDim;
          }
        }
      }
      expect(cacheBytesPerStep(config, length), `${length}`).toBe(4 * numbers);
    }
  });
});
