import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { failed, passed } from '../compare.ts';
import type { CheckContext, Findings } from '../context.ts';
import { counted } from '../counted.ts';
import { isDefinedFormat, rowBytes } from '../definition/decode.ts';
import { isKnownExtra, tensorsOf } from '../definition/plan.ts';
import type { Check } from '../result.ts';

/** Whether the files are whole, hold every tensor of the architecture in its shape and dtype, and only finite numbers. */
export async function checkFiles({ target, checkpoint, options, pause, progress }: CheckContext): Promise<Findings> {
  const { config, weights } = checkpoint;
  const checks: Check[] = [];
  const plan = tensorsOf(config);
  let wrong = 0;
  for (const [key, shape] of plan) {
    const stored = weights.tensors.get(key);
    if (!stored) {
      checks.push(failed(key, `is missing; the architecture has it as [${shape.join(', ')}]`));
      wrong++;
    } else if (stored.shape.join() !== shape.join()) {
      const found = `shape [${stored.shape.join(', ')}] instead of [${shape.join(', ')}]`;
      checks.push(failed(key, `${found}, in ${stored.file}`));
      wrong++;
    } else if (!isDefinedFormat(stored.format)) {
      checks.push(failed(key, `dtype ${stored.format} cannot be computed with, in ${stored.file}`));
      wrong++;
    } else {
      const rows = shape.length > 1 ? shape[0]! : 1;
      const expected = rows * rowBytes(stored.format, shape.reduce((product, size) => product * size, 1) / rows);
      if (expected !== stored.sizeInBytes) {
        checks.push(failed(key, `${stored.sizeInBytes} bytes instead of ${expected}, in ${stored.file}`));
        wrong++;
      }
    }
  }
  if (wrong === 0) checks.push(passed('tensors', `all ${plan.size} tensors of the architecture in their shapes`));
  const extra = [...weights.tensors.keys()].filter((key) => !plan.has(key) && !isKnownExtra(key));
  if (extra.length > 0) {
    const names = extra.slice(0, 3).join(', ');
    checks.push(failed(extra[0]!, `${counted(extra.length, 'tensor')} that the architecture does not have: ${names}`));
  }
  checks.push(await checkDtypes(target.path, checkpoint, plan));

  const files = [...new Set([...weights.tensors.values()].map(({ file }) => file))];
  const total = [...weights.tensors.values()].reduce((sum, { sizeInBytes }) => sum + sizeInBytes, 0);
  let done = 0;
  let notFinite = 0;
  for (const { name, format, sizeInBytes } of weights.tensors.values()) {
    if (!plan.has(name)) continue;
    await pause();
    const at = firstNotFinite(format, await weights.readBytes(name));
    if (at !== undefined) {
      checks.push(failed(name, `number ${at} is not finite`));
      notFinite++;
    }
    done += sizeInBytes;
    progress(done / 2, total);
  }
  if (notFinite === 0) checks.push(passed('numbers', `every number in ${done} bytes of weights is finite`));

  for (const file of await filesToHash(target.path, target.kind, files)) {
    await pause();
    checks.push(await checkHash(file, options.hashes));
    progress(total / 2 + (done / 2) * 0.999, total);
  }
  for (const warning of checkpoint.warnings) checks.push(passed('remark', warning));
  return { checks, reason: `${counted(plan.size, 'tensor')} in ${counted(files.length, 'file')}` };
}

/** All matrices in one dtype, the one that `config.json` says. A GGUF file mixes formats on purpose. */
async function checkDtypes(
  path: string,
  { format: container, weights }: CheckContext['checkpoint'],
  plan: ReadonlyMap<string, readonly number[]>,
): Promise<Check> {
  const formats = new Map<string, string[]>();
  for (const key of plan.keys()) {
    const stored = weights.tensors.get(key);
    if (stored) formats.set(stored.format, [...(formats.get(stored.format) ?? []), key]);
  }
  const names = [...formats.keys()].join(', ');
  if (container === 'gguf') return passed('dtypes', `stored as ${names}`);
  if (formats.size > 1) {
    const [format, [key]] = [...formats].sort((a, b) => a[1].length - b[1].length)[0]! as [string, [string]];
    return failed(key, `is ${format} where the other tensors are not: the checkpoint mixes ${names}`);
  }
  const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as {
    torch_dtype?: unknown;
    dtype?: unknown;
  };
  const said = config.torch_dtype ?? config.dtype;
  const expected = new Map([
    ['float32', 'F32'],
    ['float16', 'F16'],
    ['bfloat16', 'BF16'],
  ]).get(String(said));
  if (expected !== undefined && expected !== names) {
    return failed('config.json', `torch_dtype is ${String(said)}, the tensors are ${names}`);
  }
  return passed('dtypes', expected ? `all ${names}, as config.json says` : `all ${names}`);
}

/** Index of the first number that is not finite: an exponent of all ones. Block formats: their float16 scales stand first or last. */
function firstNotFinite(format: string, bytes: Uint8Array): number | undefined {
  const own = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const find = (values: Uint16Array | Uint32Array, mask: number): number | undefined => {
    for (let i = 0; i < values.length; i++) if ((values[i]! & mask) === mask) return i;
    return undefined;
  };
  if (format === 'F32') return find(new Uint32Array(own.buffer, own.byteOffset, own.byteLength / 4), 0x7f800000);
  if (format === 'BF16') return find(new Uint16Array(own.buffer, own.byteOffset, own.byteLength / 2), 0x7f80);
  if (format === 'F16') return find(new Uint16Array(own.buffer, own.byteOffset, own.byteLength / 2), 0x7c00);
  return undefined; // the blocks suite decodes these
}

async function filesToHash(path: string, kind: string, weightFiles: readonly string[]): Promise<string[]> {
  if (kind === 'gguf') return [path];
  const names = new Set(weightFiles.map((file) => basename(file)));
  const described = (await readdir(path)).filter(
    (name) => /\.(json|jinja|tiktoken|model)$/.test(name) && name !== 'case.json',
  );
  return [...described, ...names].sort().map((name) => join(path, name));
}

/** The sum is compared with the one given, or with the name of the blob that a hub cache links to. */
async function checkHash(file: string, given: ReadonlyMap<string, string> | undefined): Promise<Check> {
  const name = basename(file);
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk as Uint8Array);
  } catch (error) {
    return failed(name, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const sum = hash.digest('hex');
  const blob = basename(await readlink(file).catch(() => ''));
  const expected = given?.get(name) ?? (/^[0-9a-f]{64}$/.test(blob) ? blob : undefined);
  if (expected === undefined) return passed(name, `SHA-256 ${sum}; nothing to compare it with`);
  if (expected !== sum) return failed(name, `SHA-256 is ${sum} instead of ${expected}`);
  return passed(name, `SHA-256 ${sum}, as expected`);
}
