import { expect, it } from 'vitest';
import { createLanguageModel } from '../src/index.ts';
import { openTinyMember } from './tiny-members.ts';

const sizeOf = (tensors: Iterable<{ sizeInBytes: number }>) =>
  [...tensors].reduce((sum, { sizeInBytes }) => sum + sizeInBytes, 0);

it('PF-19 a model above the budget is refused before any weight is read', async () => {
  const checkpoint = await openTinyMember('phi3');
  const weightsInBytes = sizeOf(checkpoint.weights.tensors.values());
  let reads = 0;
  const counting = {
    ...checkpoint,
    weights: new Proxy(checkpoint.weights, {
      get(source, name, receiver) {
        if (typeof name === 'string' && name.startsWith('read')) reads++;
        return Reflect.get(source, name, receiver);
      },
    }),
  };
  await expect(createLanguageModel(counting, { memoryBudgetInBytes: weightsInBytes - 1 })).rejects.toMatchObject({
    code: 'MEMORY_BUDGET',
    got: weightsInBytes,
  });
  expect(reads).toBe(0);
  await (await createLanguageModel(counting, { memoryBudgetInBytes: weightsInBytes })).dispose();
  expect(reads).toBeGreaterThan(0);
  for (const memoryBudgetInBytes of [0, -1, Number.NaN]) {
    await expect(createLanguageModel(checkpoint, { memoryBudgetInBytes })).rejects.toMatchObject({ code: 'ARGUMENT' });
  }
});

it('PF-19 of experts on demand only those that are kept count', async () => {
  const checkpoint = await openTinyMember('phimoe');
  const tensors = [...checkpoint.weights.tensors.values()];
  const withoutExperts = sizeOf(tensors.filter(({ name }) => !name.includes('.experts.')));
  const options = { expertsOnDemand: true, expertCacheInBytes: 5000 };
  const load = (memoryBudgetInBytes: number) => createLanguageModel(checkpoint, { ...options, memoryBudgetInBytes });
  await expect(load(withoutExperts + 4999)).rejects.toMatchObject({ code: 'MEMORY_BUDGET' });
  await (await load(withoutExperts + 5000)).dispose();
});
