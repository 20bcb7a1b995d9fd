import { describe, expect, it } from 'vitest';
import { cacheBytesPerToken, createLanguageModel, createReferenceBackend, estimateMemory } from '../src/index.ts';
import { openTinyMember, type TinyMember, tinyConfigs } from './tiny-members.ts';

// The estimate against what the reference backend holds. Sizes are sums of products of small numbers, so what is claimed to be
// equal is equal.

const members = Object.keys(tinyConfigs) as TinyMember[];

describe.each(members)('memory of %s', (member) => {
  const load = async () => {
    const backend = createReferenceBackend();
    const checkpoint = await openTinyMember(member);
    const model = await createLanguageModel(checkpoint, member === 'phi3_v' ? { backend, numCrops: 1 } : { backend });
    let weightsInBytes = 0;
    for (const { sizeInBytes } of checkpoint.weights.tensors.values()) weightsInBytes += sizeInBytes;
    return { backend, model, weightsInBytes };
  };

  it('weights', async () => {
    const { backend, weightsInBytes } = await load();
    // The class embedding and the two separators of the vision member stay with the model: 8 + 2 · 32 numbers.
    const elsewhere = member === 'phi3_v' ? 4 * (8 + 2 * 32) : 0;
    expect(backend.memory().weightsInBytes).toBe(weightsInBytes - elsewhere);
  });

  it.each([16, 32, 64])('cache of %i tokens, a size that doubling meets', async (contextLength) => {
    const { backend, model, weightsInBytes } = await load();
    const session = model.createSession({ contextLength, prefillChunkSize: 16 });
    await session.advance(new Array(contextLength).fill(5));
    const { cacheInBytes } = estimateMemory(model.config, { weightsInBytes, contextLength });
    expect(cacheInBytes).toBe(contextLength * cacheBytesPerToken(model.config, 4));
    expect(backend.memory().cachesInBytes).toBe(cacheInBytes);
  });

  it('a cache between two sizes holds less than twice its tokens', async () => {
    const { backend, model } = await load();
    await model.createSession({ prefillChunkSize: 16 }).advance(new Array(70).fill(5));
    const needed = 70 * cacheBytesPerToken(model.config, 4);
    const { cachesInBytes } = backend.memory();
    expect(cachesInBytes).toBeGreaterThanOrEqual(needed);
    expect(cachesInBytes).toBeLessThan(2 * needed);
  });

  it.each([1, 8, 32])('the intermediates of a pass over %i tokens', async (prefillChunkSize) => {
    const { backend, model, weightsInBytes } = await load();
    const session = model.createSession({ prefillChunkSize });
    await session.advance(new Array(2 * prefillChunkSize).fill(5));
    const { activationsInBytes } = estimateMemory(model.config, {
      weightsInBytes,
      contextLength: 128,
      prefillChunkSize,
    });
    const peak = backend.memory().peakTemporariesInBytes;
    // Inside the operation that runs experts there is more than its handles: 2 · C + 2 · I numbers per token.
    const inside = member === 'phimoe' ? 4 * prefillChunkSize * (2 * 32 + 2 * 32) : 0;
    expect(peak).toBeLessThanOrEqual(activationsInBytes);
    expect(peak).toBeGreaterThan(0.9 * (activationsInBytes - inside));
  });
});

describe('memory of an image', () => {
  it('is what its pixels, features and the larger of tower and projector take', async () => {
    const backend = createReferenceBackend();
    const model = await createLanguageModel(await openTinyMember('phi3_v'), { backend, numCrops: 1 });
    const { imageInBytes } = estimateMemory(model.config, { weightsInBytes: 0, contextLength: 1, numCrops: 1 });
    const image = { width: 336, height: 336, data: new Uint8Array(336 * 336 * 3) };
    await model.network.images!.encode(image);
    // Pixels of two crops and their features stand outside the backend.
    const outside = 4 * 2 * (3 * 336 * 336 + 576 * 8);
    const peak = backend.memory().peakTemporariesInBytes;
    expect(peak).toBeLessThanOrEqual(imageInBytes - outside);
    expect(peak).toBeGreaterThan(0.5 * (imageInBytes - outside));
  });
});
