import { readFileSync } from 'node:fs';
import type { WeightFormat } from '@phiblocks/tensor';

/** Rows of weights and what llama.cpp makes of them; see golden/PROVENANCE.md. */
export interface GoldenRows {
  columns: number;
  kinds: string[];
  values: Float32Array;
  bytes: Map<WeightFormat, Uint8Array>;
}

export function loadGoldenRows(): GoldenRows {
  const stored = JSON.parse(readFileSync(new URL('./golden/llama-cpp.json', import.meta.url), 'utf8'));
  const decode = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
  return {
    columns: stored.columns,
    kinds: stored.rows,
    values: new Float32Array(decode(stored.values).buffer),
    bytes: new Map(
      Object.entries<string>(stored.bytes).map(([format, text]) => [format as WeightFormat, decode(text)]),
    ),
  };
}
