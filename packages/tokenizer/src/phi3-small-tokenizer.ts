import { tokenizerError } from './errors.ts';
import { parseTiktoken } from './parse-tiktoken.ts';
import type { Tokenizer } from './tokenizer.ts';

/** First id after the ranks of cl100k. */
const firstSpecialId = 100256;

/** Ids from here on are dropped by `skipSpecialTokens`; 100256 is below and stays, as in the published code. */
const firstSkippedId = 100257;

/**
 * The tokenizer of Phi-3-small: cl100k with 96 special tokens of its own, no BOS and no rstrip.
 *
 * Source: `tokenization_phi3_small.py` of Phi-3-small-8k-instruct.
 *
 * @param ranks - the file `cl100k_base.tiktoken`, 100,256 lines
 * @throws Phi3Error what {@link parseTiktoken} throws, and `TK_RANKS` when the number of lines is another
 * @example
 * try {
 *   createPhi3SmallTokenizer('IQ== 1\n');
 * } catch (error) {
 *   error.message; // => "TK_RANKS parseTiktoken: expected rank 0, the next one, got '1' (line 1)"
 * }
 */
export function createPhi3SmallTokenizer(ranks: string | Uint8Array): Tokenizer {
  const specialTokens = phi3SmallSpecialTokens();
  const tokenizer = parseTiktoken(ranks, {
    specialTokens,
    bosTokenId: 100257,
    eosTokenId: 100257,
    padTokenId: 100257,
  });
  if (tokenizer.idToToken(firstSpecialId - 1) === undefined)
    throw tokenizerError({
      code: 'TK_RANKS',
      function: 'createPhi3SmallTokenizer',
      argument: 'ranks',
      expected: `${firstSpecialId} lines`,
      got: 'fewer',
      hint: 'Phi-3-small needs cl100k_base.tiktoken.',
    });
  return tokenizer;
}

function phi3SmallSpecialTokens(): { id: number; content: string; special: boolean }[] {
  // The dummies are numbered in the order in which the free ids were handed out, which begins with 2, 0, 1.
  const named = new Map([
    [100256, 'dummy_id_2'],
    [100257, 'endoftext'],
    [100258, 'fim_prefix'],
    [100259, 'fim_middle'],
    [100260, 'fim_suffix'],
    [100261, 'system'],
    [100262, 'user'],
    [100263, 'assistant'],
    [100264, 'dummy_id_0'],
    [100265, 'dummy_id_1'],
    [100266, 'end'],
    [100276, 'endofprompt'],
  ]);
  const tokens = [];
  let dummy = 3;
  for (let id = firstSpecialId; id < 100352; id++) {
    const name = named.get(id) ?? `dummy_id_${dummy++}`;
    tokens.push({ id, content: `<|${name}|>`, special: id >= firstSkippedId });
  }
  return tokens;
}
