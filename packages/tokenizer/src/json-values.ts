import type { TokenizerErrorCode } from './errors.ts';
import { tokenizerError } from './errors.ts';
import { readFileText } from './file-text.ts';

/** An object as JSON knows it; only read, and never under a name that came from a file. */
export type JsonObject = { readonly [key: string]: unknown };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own property of an object from a file, so that `constructor` is not found on the prototype. */
export function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Parses a JSON file given as text, bytes or already parsed. */
export function readJson(functionName: string, argument: string, file: string | Uint8Array | object): JsonObject {
  let value: unknown = file;
  if (typeof file === 'string' || file instanceof Uint8Array) {
    const text = readFileText(functionName, argument, file);
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw tokenizerError({ code: 'TK_JSON', function: functionName, argument, expected: 'JSON', cause });
    }
  }
  if (!isJsonObject(value)) reject('TK_JSON', functionName, '', 'a JSON object', value);
  return value as JsonObject;
}

export function reject(
  code: TokenizerErrorCode,
  functionName: string,
  key: string,
  expected: string,
  got: unknown,
  hint?: string,
): never {
  throw tokenizerError({ code, function: functionName, expected, got, where: key === '' ? {} : { key }, hint });
}
