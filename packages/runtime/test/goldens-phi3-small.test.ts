import { readdirSync } from 'node:fs';
import { describeWithShared, loadGolden, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { phi3SmallInnerValues } from './golden-cases.ts';
import { reference, testLanguageCase, wasm } from './golden-runs.ts';

// Every published-layout case of Phi3SmallForCausalLM.

describeWithShared('golden cases of Phi3SmallForCausalLM', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) => name.startsWith('phi3small-'));
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(5));
  for (const name of names) {
    describe.each([reference, wasm(2)])(`${name} on $name`, (backend) => {
      testLanguageCase(loadGolden(name), phi3SmallInnerValues, backend);
    });
  }
});
