import { readFileSync } from 'node:fs';
import { sharedPath } from '@phiblocks/testing';
import { createPhi3SmallTokenizer, parseTokenizerJson, type Tokenizer } from '../src/index.ts';

const loaded = new Map<string, Tokenizer>();

/** Text of a file of the shared tokenizer data. */
export function sharedText(...parts: string[]): string {
  return readFileSync(sharedPath('tokenizers', ...parts), 'utf8');
}

/** A file of `tokenizers/goldens`. */
// biome-ignore lint/suspicious/noExplicitAny: goldens are checked by the assertions made on them
export function golden(name: string): any {
  return JSON.parse(sharedText('goldens', `${name}.json`));
}

/** The tokenizer of a checkpoint, read once per test file. Phi-3.5 takes the files that its facts name. */
export function loadTokenizer(member: string): Tokenizer {
  const folder =
    { 'phi-3.5-mini': 'phi-3-mini', 'phi-3.5-moe': 'phi-3-mini', 'phi-3.5-vision': 'phi-3-vision' }[member] ?? member;
  let tokenizer = loaded.get(folder);
  if (tokenizer === undefined) {
    tokenizer =
      folder === 'phi-3-small'
        ? createPhi3SmallTokenizer(readFileSync(sharedPath('tokenizers', folder, 'cl100k_base.tiktoken')))
        : parseTokenizerJson(sharedText(folder, 'tokenizer.json'), {
            tokenizerConfig: sharedText(folder, 'tokenizer_config.json'),
          });
    loaded.set(folder, tokenizer);
  }
  return tokenizer;
}
