import { commands } from 'vitest/browser';
import { type GoldenCase, parseGoldenCase } from './golden-case.ts';

declare module 'vitest/browser' {
  interface BrowserCommands {
    readShared: (path: string) => Promise<string | undefined>;
    listShared: (path: string) => Promise<string[]>;
    buildForProduction: (entry: string) => Promise<string>;
    servePatternedCheckpoint: (config: string, shapes: [string, number[]][]) => Promise<PatternedCheckpoint>;
    rangeServerTraffic: () => Promise<RangeServerTraffic>;
    stopRangeServer: () => Promise<void>;
  }
}

/** A checkpoint on a server, larger than anything should hold. */
export interface PatternedCheckpoint {
  /** With a slash at its end. */
  readonly address: string;
  readonly sizeInBytes: number;
  readonly largestTensorInBytes: number;
}

/** What was asked of that server. */
export interface RangeServerTraffic {
  readonly answers: number;
  readonly answeredBytes: number;
  readonly largestAnswerInBytes: number;
}

/**
 * Serves `config.json`, and a `model.safetensors` that is made as it is read: BF16 numbers that mean nothing.
 *
 * @param shapes - of its tensors, by name
 */
export function servePatternedCheckpoint(
  config: object,
  shapes: Iterable<readonly [string, readonly number[]]>,
): Promise<PatternedCheckpoint> {
  const sent = [...shapes].map(([name, shape]): [string, number[]] => [name, [...shape]]);
  return commands.servePatternedCheckpoint(JSON.stringify(config), sent);
}

/** What was asked of the server of {@link servePatternedCheckpoint} so far. */
export function rangeServerTraffic(): Promise<RangeServerTraffic> {
  return commands.rangeServerTraffic();
}

export function stopRangeServer(): Promise<void> {
  return commands.stopRangeServer();
}

/** A file of the shared reference data; undefined where it is missing. */
export async function readSharedFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const base64 = await commands.readShared(path);
  return base64 === undefined ? undefined : Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Names in a folder of the shared reference data; none where it is missing. */
export function listSharedFolder(path: string): Promise<string[]> {
  return commands.listShared(path);
}

/** Reads a case of `shared/goldens`. */
export async function fetchGolden(name: string): Promise<GoldenCase> {
  const path = `goldens/${name}`;
  const [caseJson, expected, configJson] = await Promise.all(
    ['case.json', 'expected.safetensors', 'config.json'].map((file) => readSharedFile(`${path}/${file}`)),
  );
  if (!caseJson || !expected) throw new Error(`the shared data has no complete case ${name}`);
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return parseGoldenCase(name, path, {
    caseJson: text(caseJson),
    expected,
    configJson: configJson && text(configJson),
  });
}

/**
 * Bundles a module as a page would for production, minified and with all that it imports, and imports the result.
 *
 * @param entry - path from the root of the repository
 */
export async function importProductionBuild(entry: string): Promise<Record<string, unknown>> {
  const code = await commands.buildForProduction(entry);
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  try {
    return await import(/* @vite-ignore */ url);
  } finally {
    URL.revokeObjectURL(url);
  }
}
