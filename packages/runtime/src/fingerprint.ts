import type { Checkpoint } from './checkpoint.ts';

/**
 * Tells models apart: configuration, names, formats and shapes of all tensors, the numbers of every vector and of the
 * smallest matrix, which fine-tuning changes. Not made to withstand someone who wants two models to look alike.
 *
 * @param checkpoint - open
 * @returns 16 hexadecimal digits
 */
export async function fingerprintOf({ config, weights }: Pick<Checkpoint, 'config' | 'weights'>): Promise<string> {
  const hash = createHash();
  const { warnings: _, ...fields } = config;
  hash.add(new TextEncoder().encode(JSON.stringify(fields)));
  const tensors = [...weights.tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, format, shape } of tensors) {
    hash.add(new TextEncoder().encode(`${name} ${format} ${shape.join()};`));
  }
  const matrices = tensors.filter(({ shape }) => shape.length === 2).sort((a, b) => a.sizeInBytes - b.sizeInBytes);
  const sampled = [...tensors.filter(({ shape }) => shape.length === 1), ...matrices.slice(0, 1)];
  for (const { name } of sampled) hash.add(await weights.readBytes(name));
  return hash.digest();
}

/** Two runs of FNV-1a over 32 bits, the second with another start and every byte inverted. */
function createHash(): { add(bytes: Uint8Array): void; digest(): string } {
  const prime = 0x01000193;
  let first = 0x811c9dc5;
  let second = 0x2b5f0a17;
  return {
    add(bytes) {
      for (const byte of bytes) {
        first = Math.imul(first ^ byte, prime);
        second = Math.imul(second ^ (byte ^ 0xff), prime);
      }
    },
    digest: () => [first, second].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join(''),
  };
}
