import { type ErrorLocation, Phi3Error, printable } from '@phiblocks/tensor';
import { type JsonValue, parseStrictJson } from '../strict-json.ts';
import type { ConfigErrorCode } from './error-codes.ts';

/** Published files have under 10 kB. */
const largestFileInBytes = 1_000_000;

/** Published files have three levels; `clip_config` of test models a fourth. */
const deepestNesting = 8;

/** Every size: 2^24 is far above any model, and products of two stay safe integers. */
export const largestSize = 2 ** 24;

/** The fields of one object of a configuration, each read with its check. What is read is noted, the rest can be listed. @internal */
export class ConfigFields {
  readonly functionName: string;
  readonly file: string;
  private readonly values: ReadonlyMap<string, unknown>;
  private readonly prefix: string;
  private readonly spelling: ReadonlyMap<string, string>;
  private readonly known = new Set<string>();
  private readonly children: ConfigFields[] = [];

  /**
   * @param spelling - how the file itself names a field, where that is not its name here (GGUF)
   */
  constructor(
    functionName: string,
    file: string,
    values: ReadonlyMap<string, unknown>,
    prefix = '',
    spelling: ReadonlyMap<string, string> = new Map(),
  ) {
    this.functionName = functionName;
    this.file = file;
    this.values = values;
    this.prefix = prefix;
    this.spelling = spelling;
  }

  /** True for a field that is there, also as null. */
  has(name: string): boolean {
    return this.values.has(name);
  }

  /** The value, `undefined` where it is absent or null (as Python's None is written). */
  value(name: string): unknown {
    this.known.add(name);
    return this.values.get(name) ?? undefined;
  }

  /** Notes fields that have no bearing on the numbers. */
  ignore(names: readonly string[]): void {
    for (const name of names) this.known.add(name);
  }

  /** Names that nobody has asked for, here and in the objects inside. */
  unread(): string[] {
    const own = [...this.values.keys()].filter((name) => !this.known.has(name)).map((name) => this.prefix + name);
    return [...own, ...this.children.flatMap((child) => child.unread())];
  }

  /** A whole number from 1 to `most`. */
  size(name: string, fallback?: number, most = largestSize): number {
    const value = this.value(name);
    if (value === undefined) return this.orMissing(name, fallback, `a whole number from 1 to ${most}`);
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw this.fieldError(name, `a whole number from 1 to ${most}`, value);
  }

  /** As `size`, `undefined` where the field is absent. */
  optionalSize(name: string): number | undefined {
    return this.value(name) === undefined ? undefined : this.size(name);
  }

  /** A finite number above 0. */
  positive(name: string, fallback?: number): number {
    const value = this.value(name);
    if (value === undefined) return this.orMissing(name, fallback, 'a finite number above 0');
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    throw this.fieldError(name, 'a finite number above 0', value);
  }

  /** A finite number from `least` to `most`. */
  number(name: string, least: number, most: number, fallback?: number): number {
    const value = this.value(name);
    if (value === undefined) return this.orMissing(name, fallback, `a number from ${least} to ${most}`);
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw this.fieldError(name, `a number from ${least} to ${most}`, value);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.value(name) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.fieldError(name, 'true or false', value);
  }

  optionalString(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'string') return value;
    throw this.fieldError(name, 'a text', value);
  }

  /** A list of positive finite numbers of a given length. */
  factors(name: string, length: number, code: ConfigErrorCode): readonly number[] {
    const value = this.value(name);
    const expected = `${length} finite numbers above 0, half the number of components that rotate`;
    if (!Array.isArray(value) || value.length !== length) {
      throw this.error(code, name, expected, Array.isArray(value) ? `${value.length} numbers` : value);
    }
    for (const [i, factor] of value.entries()) {
      if (typeof factor !== 'number' || !Number.isFinite(factor) || factor <= 0) {
        throw this.error(code, `${name}[${i}]`, 'a finite number above 0', factor);
      }
    }
    return Object.freeze(value.slice());
  }

  /** The fields of an object inside this one, `undefined` where it is absent. */
  object(name: string, code: ConfigErrorCode = 'CF_FIELD'): ConfigFields | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (!(value instanceof Map)) throw this.error(code, name, 'an object', value);
    const child = new ConfigFields(this.functionName, this.file, value, `${this.prefix}${name}.`, this.spelling);
    this.children.push(child);
    return child;
  }

  /** A field that, where it is there, must have one value, because no other is computed. */
  only(name: string, supported: string | boolean | number): void {
    const value = this.value(name);
    if (value !== undefined && value !== supported) {
      throw this.error('CF_UNSUPPORTED', name, `${JSON.stringify(supported)}, the only value that is supported`, value);
    }
  }

  /** A token id, `undefined` where it is absent. */
  tokenId(name: string, vocabSize: number): number | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : this.checkedTokenId(name, value, vocabSize);
  }

  /** One token id or a list of them; no id twice. */
  tokenIds(name: string, vocabSize: number): readonly number[] {
    const value = this.value(name);
    if (value === undefined) return Object.freeze([]);
    if (!Array.isArray(value)) return Object.freeze([this.checkedTokenId(name, value, vocabSize)]);
    return Object.freeze([...new Set(value.map((id, i) => this.checkedTokenId(`${name}[${i}]`, id, vocabSize)))]);
  }

  private checkedTokenId(name: string, value: unknown, vocabSize: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < vocabSize) return value;
    throw this.error('CF_TOKEN_ID', name, `a token id from 0 to ${vocabSize - 1}`, value);
  }

  private orMissing(name: string, fallback: number | undefined, expected: string): number {
    if (fallback === undefined) throw this.error('CF_FIELD_MISSING', name, expected, undefined);
    return fallback;
  }

  fieldError(name: string, expected: string, got: unknown): Phi3Error<ConfigErrorCode> {
    return this.error('CF_FIELD', name, expected, got);
  }

  error(
    code: ConfigErrorCode,
    name: string,
    expected: string,
    got: unknown,
    hint?: string,
  ): Phi3Error<ConfigErrorCode> {
    const key = this.prefix + name;
    const index = /\[\d+\]$/.exec(key)?.[0] ?? '';
    const spelled = this.spelling.get(key.slice(0, key.length - index.length));
    const where: ErrorLocation = { file: this.file, key: spelled === undefined ? key : spelled + index };
    return new Phi3Error({ code, function: this.functionName, expected, got, where, ...(hint ? { hint } : {}) });
  }
}

/** Parses a configuration file. @internal */
export function parseConfigFields(functionName: string, file: string, bytes: Uint8Array): ConfigFields {
  if (bytes.byteLength > largestFileInBytes) {
    throw parseError(functionName, file, `at most ${largestFileInBytes} bytes`, bytes.byteLength);
  }
  const root: JsonValue = parseStrictJson(bytes, {
    function: functionName,
    file,
    maxDepth: deepestNesting,
    codes: { utf8: 'CF_PARSE', syntax: 'CF_PARSE', depth: 'CF_PARSE', duplicate: 'CF_DUPLICATE_KEY' },
  });
  if (!(root instanceof Map)) throw parseError(functionName, file, 'a JSON object', root);
  return new ConfigFields(functionName, file, root);
}

function parseError(functionName: string, file: string, expected: string, got: unknown): Phi3Error<ConfigErrorCode> {
  return new Phi3Error({ code: 'CF_PARSE', function: functionName, expected, got, where: { file } });
}

/** A sentence on fields that nothing reads. @internal */
export function unreadWarning(file: string, names: readonly string[]): string {
  const shown = names.slice(0, 8).map(printable).join(', ');
  const more = names.length > 8 ? ` and ${names.length - 8} more` : '';
  return `${printable(file)} has fields that are not read: ${shown}${more}.`;
}
