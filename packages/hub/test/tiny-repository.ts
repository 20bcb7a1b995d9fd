import { createSeededRandom } from '@phiblocks/testing';

/** A safetensors file of the given size with one tensor of seeded bytes. */
export function tinySafetensors(sizeInBytes: number, seed = 1): Uint8Array {
  const random = createSeededRandom(seed);
  const headerInBytes = 120;
  const dataInBytes = sizeInBytes - 8 - headerInBytes;
  const header = JSON.stringify({ a: { dtype: 'U8', shape: [dataInBytes], data_offsets: [0, dataInBytes] } });
  const bytes = new Uint8Array(sizeInBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerInBytes), true);
  bytes.set(new TextEncoder().encode(header.padEnd(headerInBytes)), 8);
  for (let i = 8 + headerInBytes; i < sizeInBytes; i++) bytes[i] = random.integer(256);
  return bytes;
}

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A repository with the files of a sharded checkpoint; nothing in it is a model. */
export function tinyRepository(): Map<string, Uint8Array> {
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  return new Map([
    ['README.md', new TextEncoder().encode('# tiny')],
    ['config.json', text({ model_type: 'phi3' })],
    ['tokenizer.json', text({ model: {} })],
    ['model.safetensors.index.json', text({ weight_map: { a: shards[0], b: shards[1] } })],
    [shards[0], tinySafetensors(5000, 1)],
    [shards[1], tinySafetensors(7000, 2)],
  ]);
}
