import { isJsonObject, type JsonObject, own, readJson, reject } from './json-values.ts';
import type { AddedToken, TokenizerWarning } from './tokenizer.ts';

/** What a `tokenizer_config.json` says that a tokenizer needs. */
export interface TokenizerConfig {
  addBosToken: boolean | undefined;
  addEosToken: boolean | undefined;
  bosTokenId: number | undefined;
  eosTokenId: number | undefined;
  padTokenId: number | undefined;
  unknownTokenId: number | undefined;
  warnings: TokenizerWarning[];
}

export function readTokenizerConfig(
  functionName: string,
  file: string | Uint8Array | object,
  idOf: (token: string) => number | undefined,
  addedTokens: readonly AddedToken[],
): TokenizerConfig {
  const config = readJson(functionName, 'tokenizerConfig', file);
  const flag = (key: string): boolean | undefined => {
    const value = own(config, key) ?? undefined;
    if (value !== undefined && typeof value !== 'boolean')
      reject('TK_CONFIG', functionName, `tokenizer_config.json ${key}`, 'true, false or null', value);
    return value;
  };
  const tokenId = (key: string): number | undefined => {
    const value = own(config, key) ?? undefined;
    // Older files write the token as an object with its flags.
    const token = isJsonObject(value) ? own(value, 'content') : value;
    if (token === undefined) return undefined;
    const id = typeof token === 'string' ? idOf(token) : undefined;
    if (id === undefined)
      reject('TK_CONFIG', functionName, `tokenizer_config.json ${key}`, 'a token that exists', token);
    return id;
  };
  const result: TokenizerConfig = {
    addBosToken: flag('add_bos_token'),
    addEosToken: flag('add_eos_token'),
    bosTokenId: tokenId('bos_token'),
    eosTokenId: tokenId('eos_token'),
    padTokenId: tokenId('pad_token'),
    unknownTokenId: tokenId('unk_token'),
    warnings: compareAddedTokens(own(config, 'added_tokens_decoder'), addedTokens),
  };
  for (const [wanted, id, key] of [
    [result.addBosToken, result.bosTokenId, 'bos_token'],
    [result.addEosToken, result.eosTokenId, 'eos_token'],
  ] as const)
    if (wanted && id === undefined)
      reject('TK_CONFIG', functionName, `tokenizer_config.json ${key}`, `a token, since add_${key} is true`, id);
  if (flag('clean_up_tokenization_spaces'))
    result.warnings.push({
      code: 'TK_IGNORED',
      message: 'clean_up_tokenization_spaces is not applied: decode gives the text as it was',
    });
  return result;
}

/** The flags of added tokens stand in both files, and published pairs of files have disagreed. */
function compareAddedTokens(list: unknown, addedTokens: readonly AddedToken[]): TokenizerWarning[] {
  if (!isJsonObject(list)) return [];
  const warnings: TokenizerWarning[] = [];
  const warn = (message: string): void => {
    warnings.push({ code: 'TK_FLAGS_DISAGREE', message: `${message}; tokenizer.json is followed` });
  };
  const known = new Map(addedTokens.map((token) => [String(token.id), token]));
  for (const [id, entry] of Object.entries(list)) {
    const token = known.get(id);
    known.delete(id);
    if (token === undefined) {
      warn(`id ${id} is an added token in tokenizer_config.json alone`);
      continue;
    }
    const flags: JsonObject = isJsonObject(entry) ? entry : {};
    if (own(flags, 'content') !== token.content) warn(`id ${id} has another content in tokenizer_config.json`);
    for (const name of ['lstrip', 'rstrip', 'special'] as const)
      if ((own(flags, name) ?? false) !== token[name])
        warn(`${name} of ${token.content} is ${!token[name]} in tokenizer_config.json`);
  }
  for (const [id, token] of known) warn(`id ${id} (${token.content}) is an added token in tokenizer.json alone`);
  return warnings;
}
