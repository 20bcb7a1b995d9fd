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

/**
 * Puts a case together from its files. Its safetensors reader is separate from the product's on purpose: the judge must not
 * share a fault.
 *
 * @param name - of the case
 * @param path - its folder, as the caller's loader wants it
 * @param files - `case.json`, `expected.safetensors` and, where the case has a model, `config.json`
 */
export function parseGoldenCase(
  name: string,
  path: string,
  files: { caseJson: string; expected: Uint8Array; configJson: string | undefined },
): GoldenCase {
  const description = JSON.parse(files.caseJson);
  const { expected } = files;
  const headerLength = Number(new DataView(expected.buffer, expected.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(expected.subarray(8, 8 + headerLength))) as Record<
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
    const bytes = expected.slice(8 + headerLength + begin, 8 + headerLength + end).buffer;
    tensors.set(entry.name, {
      name: entry.name,
      shape: stored.shape,
      data: typedView(stored.dtype, bytes),
      tolerance: entry.tolerance === 'exact' ? 0 : entry.tolerance.max_abs_err,
      meaning: entry.meaning,
    });
  }
  return {
    name,
    path,
    description,
    config: files.configJson === undefined ? undefined : JSON.parse(files.configJson),
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
