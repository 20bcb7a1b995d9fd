import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Checkpoint } from '@phiblocks/runtime';
import { openCheckpoint } from '@phiblocks/runtime/node';
import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { createByteSource, openSafetensors } from '@phiblocks/weights';

/** What there is to check. */
export interface Target {
  /** As the caller named it. */
  readonly name: string;
  readonly path: string;
  readonly kind: 'directory' | 'gguf';
  readonly checkpoint: Checkpoint | undefined;
  /** Why the checkpoint could not be opened: a fault that was found. */
  readonly fault: Phi3Error | undefined;
  readonly golden: Golden | undefined;
  /** The hub repository it came from. */
  readonly repository?: string | undefined;
  close(): Promise<void>;
}

/** Expected tensors that lie beside a model, or without one. */
export interface Golden {
  readonly family: string;
  /** `case.json` as it stands. */
  readonly description: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, GoldenTensor>;
}

export interface GoldenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
  /** Largest absolute difference allowed; 0 for `exact`, undefined for what is only for information. */
  readonly tolerance: number | undefined;
  readonly meaning: string;
}

/**
 * Opens a directory, a GGUF file or a golden case. A checkpoint that is damaged is no error here: the damage is what the
 * checker is to find.
 *
 * @throws Phi3Error `CHECKPOINT_NOT_FOUND` when there is nothing at the path
 */
export async function openTarget(path: string, name = path, repository?: string): Promise<Target> {
  const found = await stat(path).catch(() => undefined);
  if (!found) {
    throw new Phi3Error({
      code: 'CHECKPOINT_NOT_FOUND',
      function: 'check',
      expected: 'a checkpoint directory, a .gguf file or a golden case',
      got: path,
      where: { file: path },
    });
  }
  const golden = found.isDirectory() ? await openGolden(path) : undefined;
  let checkpoint: Checkpoint | undefined;
  let fault: Phi3Error | undefined;
  const hasModel = !golden || ((await exists(join(path, 'config.json'))) && !golden.family.startsWith('block-'));
  if (hasModel) {
    try {
      checkpoint = await openCheckpoint(path);
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
      fault = error;
    }
  }
  return {
    name: name === path ? basename(resolve(path)) : name,
    path,
    kind: found.isDirectory() ? 'directory' : 'gguf',
    checkpoint,
    fault,
    golden,
    repository,
    close: async () => checkpoint?.close(),
  };
}

async function openGolden(path: string): Promise<Golden | undefined> {
  if (!(await exists(join(path, 'case.json'))) || !(await exists(join(path, 'expected.safetensors')))) return undefined;
  const description = JSON.parse(await readFile(join(path, 'case.json'), 'utf8')) as Record<string, unknown>;
  const bytes = await readFile(join(path, 'expected.safetensors'));
  const source = await openSafetensors(createByteSource(new Uint8Array(bytes), 'expected.safetensors'));
  const described = new Map<string, { tolerance: unknown; meaning: string }>();
  for (const entry of (description.tensors as { name: string; tolerance: unknown; meaning: string }[] | undefined) ??
    []) {
    described.set(entry.name, entry);
  }
  const tensors = new Map<string, GoldenTensor>();
  for (const { name, shape, format } of source.tensors.values()) {
    const { tolerance, meaning = '' } = described.get(name) ?? { tolerance: description.tolerance_abs_f32 };
    tensors.set(name, {
      name,
      shape,
      data: typed(format, await source.readBytes(name)),
      tolerance: toleranceOf(tolerance),
      meaning,
    });
  }
  await source.close();
  return { family: String(description.family ?? 'model'), description, tensors };
}

function toleranceOf(value: unknown): number | undefined {
  if (value === 'exact') return 0;
  if (typeof value === 'number') return value;
  const limit = typeof value === 'object' && value !== null && 'max_abs_err' in value ? value.max_abs_err : undefined;
  return typeof limit === 'number' ? limit : undefined;
}

function typed(format: string, bytes: Uint8Array): GoldenTensor['data'] {
  const own = bytes.slice();
  if (format === 'F32') return new Float32Array(own.buffer);
  if (format === 'I32') return new Int32Array(own.buffer);
  return own;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
