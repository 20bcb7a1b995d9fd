import { openSafetensors } from '@phiblocks/weights';
import { openFileSource } from '@phiblocks/weights/node';
import { checkOf, failed, measureWithin } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import { counted } from '../counted.ts';
import { factorListAt } from '../definition/rotary.ts';
import type { PartRunner } from '../engine/part-runner.ts';
import { noiseMargin, roundingNoise } from '../engine/sensitivity.ts';
import type { Check } from '../result.ts';

/**
 * Every intermediate that `export_reference.py` recorded against ours, in the order of computation. The budget of each is
 * what rounding noise does to it; the first that leaves it is named first.
 */
export async function checkAgainst(context: CheckContext): Promise<Findings> {
  const { options, progress } = context;
  if (options.against === undefined) return notApplicable('no --against FILE was given');
  const source = await openSafetensors(await openFileSource(options.against));
  try {
    const idsTensor = source.tensors.get('input_ids');
    if (!idsTensor)
      return { checks: [failed('input_ids', `is missing in ${options.against}`)], reason: 'not a recorded file' };
    const ids = integers(idsTensor.format, await source.readBytes('input_ids'));
    const order: string[] = [];
    const expected = (name: string): Promise<Float32Array> => source.readFloats(name).then(({ data }) => data);
    const ours = await context.makeRunner();
    const noisy = await context.makeRunner({ transform: roundingNoise(1) });
    const checks: Check[] = [];
    let first: string | undefined;
    try {
      const [plain, shaken] = await intermediates(ours, noisy, ids, (done, total) => progress(done, total));
      for (const [name, got] of plain) {
        if (!source.tensors.has(name)) continue;
        order.push(name);
        const { shape } = source.tensors.get(name)!;
        const wanted = await expected(name);
        if (wanted.length !== got.length) {
          checks.push(failed(name, `${got.length} numbers here, ${wanted.length} recorded`));
          first ??= name;
          continue;
        }
        const noise = shaken.get(name)!;
        let largest = 0;
        for (let i = 0; i < got.length; i++) largest = Math.max(largest, Math.abs(noise[i]! - got[i]!));
        const reason = `${noiseMargin} times what rounding noise on the weights does to it`;
        const error = measureWithin(
          got,
          wanted,
          Math.max(noiseMargin * largest, 2 ** -22 * rms(wanted)),
          shape.at(-1) ?? 1,
          reason,
        );
        const check = checkOf(name, error);
        if (check.status === 'failed') first ??= name;
        checks.push(check);
      }
    } finally {
      await ours.dispose();
      await noisy.dispose();
    }
    const left = [...source.tensors.keys()].filter((name) => name !== 'input_ids' && !order.includes(name));
    if (left.length > 0)
      checks.push(
        failed(
          left[0]!,
          `no counterpart here for ${counted(left.length, 'recorded tensor')}: ${left.slice(0, 3).join(', ')}`,
        ),
      );
    if (checks.length === 0)
      return { checks: [failed('recorded tensors', 'none of them is known here')], reason: 'nothing to compare' };
    // The first that leaves its budget comes first; what follows it is its consequence.
    const sorted =
      first === undefined ? checks : [...checks].sort((a, b) => Number(b.name === first) - Number(a.name === first));
    return {
      checks: sorted,
      reason:
        first === undefined
          ? `${counted(order.length, 'tensor')} within ${order.length === 1 ? 'its budget' : 'their budgets'}`
          : `${first} is the first of ${counted(order.length, 'tensor')} to leave its budget`,
    };
  } finally {
    await source.close();
  }
}

async function intermediates(
  ours: PartRunner,
  noisy: PartRunner,
  ids: Int32Array,
  onProgress: (done: number, total: number) => void,
): Promise<[Map<string, Float32Array>, Map<string, Float32Array>]> {
  const collect = async (runner: PartRunner, turn: number): Promise<Map<string, Float32Array>> => {
    const found = new Map<string, Float32Array>();
    const cache = runner.createCache();
    const { data } = await runner.network.forward(ids, cache, {
      logits: 'all',
      factorList: factorListAt(runner.config, ids.length),
      async onTensor(name, handle) {
        found.set(name, (await runner.backend.read(handle)).data);
        if (name.startsWith('hidden.')) onProgress(turn * runner.numLayers + found.size / 10, 2 * runner.numLayers);
      },
    });
    runner.backend.free(cache);
    return found.set('logits', data);
  };
  return [await collect(ours, 0), await collect(noisy, 1)];
}

function integers(format: string, bytes: Uint8Array): Int32Array {
  const own = bytes.slice();
  if (format === 'I64') return Int32Array.from(new BigInt64Array(own.buffer), Number);
  return new Int32Array(own.buffer);
}

function rms(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length));
}
