import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReferenceBackend } from '@phiblocks/runtime';
import { encodeFloats } from '@phiblocks/tensor';
import { encodeSafetensors, type TensorInMemory } from '@phiblocks/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check } from '../src/check.ts';
import { forwardAll } from '../src/engine/logits.ts';
import { createPartRunner } from '../src/engine/part-runner.ts';
import { exportReference } from '../src/export-reference.ts';
import { packages } from '../src/implementation.ts';
import { openTarget } from '../src/open-target.ts';
import { exitStatus, type Report } from '../src/result.ts';
import { writeTiny } from './tiny-checkpoints.ts';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-against-'));
  model = await writeTiny(join(folder, 'tiny'), 'phi3');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ids = Int32Array.of(1, 17, 250, 3, 99);

/** A file as the Python program writes it, made by the runtime instead; `change` is what another program would get. */
async function record(change: (name: string, values: Float32Array) => Float32Array): Promise<string> {
  const target = await openTarget(model);
  const runner = await createPartRunner(target.checkpoint!, createReferenceBackend(), {
    implementation: packages,
    residentBytes: 2 ** 30,
  });
  const tensors: TensorInMemory[] = [
    { name: 'input_ids', dtype: 'I32', shape: [ids.length], bytes: new Uint8Array(ids.slice().buffer) },
  ];
  const add = (name: string, values: Float32Array): void => {
    const shape = [ids.length, values.length / ids.length];
    tensors.push({ name, dtype: 'F32', shape, bytes: encodeFloats(change(name, values), 'F32') });
  };
  const { logits } = await forwardAll(runner, ids, (name, { data }) => add(name, data));
  add('logits', logits);
  await runner.dispose();
  await target.close();
  const path = join(folder, `recorded-${tensors.length}-${Math.abs(logits[0]!).toFixed(3)}.safetensors`);
  await writeFile(path, encodeSafetensors(tensors));
  return path;
}

async function checkAgainst(against: string): Promise<Report> {
  const target = await openTarget(model);
  try {
    return await check(target, { suites: ['against'], against });
  } finally {
    await target.close();
  }
}

describe('against recorded tensors', () => {
  it('equal ones hold, in the order of computation', async () => {
    const report = await checkAgainst(await record((_name, values) => values));
    expect(exitStatus(report)).toBe(0);
    const names = report.suites[0]!.checks.map(({ name }) => name);
    expect(names.slice(0, 3)).toEqual(['hidden.0', 'layers.0.inputLayernorm', 'layers.0.qkvProj']);
    expect(names.at(-1)).toBe('logits');
  });

  it('the first that leaves its budget is named first', async () => {
    const report = await checkAgainst(
      await record((name, values) =>
        /^(layers\.1\.mlp|logits)$/.test(name) ? values.map((value) => value * 1.01) : values,
      ),
    );
    expect(exitStatus(report)).toBe(1);
    expect(report.suites[0]!.checks[0]!.name).toBe('layers.1.mlp');
    expect(report.suites[0]!.reason).toContain('layers.1.mlp is the first');
  });
});

describe('export-reference', () => {
  it('writes the program, which is valid Python', async () => {
    const path = await exportReference(folder);
    expect(path).toBe(join(folder, 'reference', 'export_reference.py'));
    const program = await readFile(path, 'utf8');
    for (const name of ['inputLayernorm', 'qkvProj', 'finalNorm', 'logits']) expect(program).toContain(name);
  });

  it.skipIf(!existsSync('/usr/bin/python3'))('compiles (needs /usr/bin/python3)', async () => {
    const path = await exportReference(folder);
    execFileSync('/usr/bin/python3', ['-m', 'py_compile', path]);
  });
});
