import { ArgumentError, Phi3Error } from '@phiblocks/tensor';
import { defaultExpertCacheInBytes } from './models/create-phi-moe.ts';
import { isExpertKey } from './models/phi-moe-weights.ts';
import type { PlannedModel } from './plan-memory.ts';

/**
 * Refuses a model whose weights, as they are stored, are more than the memory that was allowed for them: before any of them is
 * read, where a phone would end the page half-way. Experts on demand count as what is kept of them.
 *
 * @throws Phi3Error `MEMORY_BUDGET` with both numbers
 * @throws ArgumentError `ARGUMENT` for a budget that is no number of bytes
 */
export function expectWithinBudget(
  { checkpoint, expertsOnDemand = false, expertCacheInBytes = defaultExpertCacheInBytes }: PlannedModel,
  memoryBudgetInBytes: number | undefined,
): void {
  if (memoryBudgetInBytes === undefined) return;
  if (!(memoryBudgetInBytes > 0)) {
    throw new ArgumentError({
      function: 'createLanguageModel',
      argument: 'memoryBudgetInBytes',
      expected: 'a number of bytes above 0',
      got: memoryBudgetInBytes,
    });
  }
  let expertsInBytes = 0;
  let othersInBytes = 0;
  for (const { name, sizeInBytes } of checkpoint.weights.tensors.values()) {
    if (expertsOnDemand && isExpertKey(name)) expertsInBytes += sizeInBytes;
    else othersInBytes += sizeInBytes;
  }
  const neededInBytes = othersInBytes + Math.min(expertsInBytes, expertCacheInBytes);
  if (neededInBytes <= memoryBudgetInBytes) return;
  throw new Phi3Error({
    code: 'MEMORY_BUDGET',
    function: 'createLanguageModel',
    expected: `weights of at most ${memoryBudgetInBytes} bytes`,
    got: neededInBytes,
    hint: 'Take a model with smaller weights, or allow more as memoryBudgetInBytes.',
  });
}
