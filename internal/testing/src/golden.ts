import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sharedPath } from './shared.ts';

/** One expected tensor with what its case says about it. Integers are read as they are. */
export interface GoldenTensor {
  name: string;
  shape: number[];
  data: Float32Array | Int32Array | Uint8Array;
  /** Largest absolute difference allowed; 0 where the case says `exact`. */
  tolerance: number;
  meaning: string;
}

/** A golden case folder: a checkpoint in the published layout and what public reference code computes for it. */
export interface GoldenCase {
  name: string;
  /** Folder of the case, to be loaded like a checkpoint. */
  path: string;
  /** `case.json` as it stands. */
  description: {
    runs?: { name: string; prompt_length: number; greedy_tokens?: number; [key: string]: unknown }[];
    [key: string]: unknown;
  };
  config: Record<string, unknown> | undefined;
  tensors: Map<string, GoldenTensor>;
  /** The tensor of that name; a missing one is an error, so that a test cannot pass by comparing nothing. */
  tensor(name: string): GoldenTensor;
}

/** Reads a case of `shared/goldens`. Its safetensors reader is separate from the product's on purpose: the judge must not share a fault. */
export function loadGolden(name: string): GoldenCase {
  const path = sharedPath('goldens', name);
  const description = JSON.parse(readFileSync(join(path, 'case.json'), 'utf8'));
  const file = readFileSync(join(path, 'expected.safetensors'));
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, GoldenTensor>();
  for (const entry of description.tensors as {
    name: string;
    meaning: string;
    tolerance: 'exact' | { max_abs_err: number };
  }[]) {
    const stored = header[entry.name];
    if (!stored) throw new Error(`${name}: ${entry.name} is listed in case.json but not stored`);
    const [begin, end] = stored.data_offsets;
    const bytes = file.buffer.slice(
      file.byteOffset + 8 + headerLength + begin,
      file.byteOffset + 8 + headerLength + end,
    );
    tensors.set(entry.name, {
      name: entry.name,
      shape: stored.shape,
      data: typedView(stored.dtype, bytes),
      tolerance: entry.tolerance === 'exact' ? 0 : entry.tolerance.max_abs_err,
      meaning: entry.meaning,
    });
  }
  let config: Record<string, unknown> | undefined;
  try {
    config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  } catch {
    config = undefined; // block cases have no model
  }
  return {
    name,
    path,
    description,
    config,
    tensors,
    tensor(tensorName) {
      const tensor = tensors.get(tensorName);
      if (!tensor) throw new Error(`golden case ${name} has no tensor ${tensorName}`);
      return tensor;
    },
  };
}

function typedView(dtype: string, bytes: ArrayBuffer): Float32Array | Int32Array | Uint8Array {
  if (dtype === 'F32') return new Float32Array(bytes);
  if (dtype === 'I32') return new Int32Array(bytes);
  if (dtype === 'U8' || dtype === 'BOOL') return new Uint8Array(bytes);
  throw new Error(`golden data of dtype ${dtype} is not expected`);
}
