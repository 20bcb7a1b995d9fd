import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SuiteName, SuiteResult } from './result.ts';

/** What an interrupted check leaves, so that the next one goes on where it was. */
export interface StateFile {
  /** A suite that was finished. */
  suite(name: SuiteName): SuiteResult | undefined;
  finish(result: SuiteResult): Promise<void>;
  /** Half a suite. */
  part<State>(name: SuiteName): State | undefined;
  savePart(name: SuiteName, state: object): Promise<void>;
  /** Writes what was not written yet: the check is about to stop. */
  flush(): Promise<void>;
  /** Everything is done: nothing is left. */
  remove(): Promise<void>;
}

interface Saved {
  readonly version: 1;
  readonly suites: SuiteResult[];
  readonly parts: [SuiteName, object][];
}

/** How often half a suite is written: after this many milliseconds since the last time. */
const saveIntervalMs = 2000;

/**
 * @param directory - undefined keeps nothing
 * @param key - of the model and of what is asked
 */
export async function createStateFile(directory: string | undefined, key: string): Promise<StateFile> {
  const path = directory === undefined ? undefined : join(directory, `${key}.json`);
  const saved = path === undefined ? undefined : await read(path);
  const suites = [...(saved?.suites ?? [])];
  const parts = new Map(saved?.parts ?? []);
  let lastSaved = performance.now();

  async function write(): Promise<void> {
    if (path === undefined) return;
    await mkdir(directory!, { recursive: true });
    const partial = `${path}.${process.pid}.partial`;
    await writeFile(partial, JSON.stringify({ version: 1, suites, parts: [...parts] } satisfies Saved, exact));
    await rename(partial, path);
    lastSaved = performance.now();
  }

  return {
    suite: (name) => suites.find(({ suite }) => suite === name),
    async finish(result) {
      suites.push(result);
      parts.delete(result.suite);
      await write();
    },
    part: <State>(name: SuiteName) => parts.get(name) as State | undefined,
    async savePart(name, state) {
      parts.set(name, state);
      if (performance.now() - lastSaved >= saveIntervalMs) await write();
    },
    flush: write,
    async remove() {
      if (path !== undefined) await rm(path, { force: true });
    },
  };
}

/** JSON has no infinity, and an error may be infinite. */
function exact(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

async function read(path: string): Promise<Saved | undefined> {
  try {
    const found = JSON.parse(await readFile(path, 'utf8'), (_key, value) =>
      value === 'Infinity' ? Number.POSITIVE_INFINITY : value === 'NaN' ? Number.NaN : value,
    ) as Saved;
    return found.version === 1 && Array.isArray(found.suites) && Array.isArray(found.parts) ? found : undefined;
  } catch {
    return undefined; // none, or one that was cut off: the check starts afresh
  }
}
