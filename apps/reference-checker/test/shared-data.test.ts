import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { check } from '../src/check.ts';
import { openTarget } from '../src/open-target.ts';
import { exitStatus } from '../src/result.ts';

// What CI runs: the checker on every golden case, on the trained models at hand, the nano models among them, and on those
// that PHIBLOCKS_CHECK_MODELS names (folders, separated as in PATH). The reports are kept.

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const reports = join(root, 'reports/reference-checker');
const nanoModels = join(root, 'packages/nano/models');

async function expectToHold(path: string): Promise<void> {
  const target = await openTarget(path);
  try {
    const report = await check(target);
    mkdirSync(reports, { recursive: true });
    writeFileSync(join(reports, `${target.name}.json`), `${JSON.stringify(report, undefined, 1)}\n`);
    const failures = report.suites.flatMap(({ checks }) => checks).filter(({ status }) => status === 'failed');
    expect(failures).toEqual([]);
    expect(exitStatus(report)).toBe(0);
  } finally {
    await target.close();
  }
}

/** A vision case runs a tower over a dozen crops, several times. */
const slowMs = 600_000;

describeWithShared('every golden case holds', 'goldens', () => {
  const names = readdirSync(sharedPath('goldens')).filter((name) =>
    existsSync(sharedPath('goldens', name, 'case.json')),
  );
  it('there are cases', () => expect(names.length).toBeGreaterThanOrEqual(26));
  it.each(names)('%s', async (name) => expectToHold(sharedPath('goldens', name)), slowMs);
});

describeWithShared('the trained model stories260k-phi3 holds', 'models/stories260k-phi3', () => {
  it('stories260k-phi3', async () => expectToHold(sharedPath('models', 'stories260k-phi3')), slowMs);
});

describe('every nano model holds', () => {
  it.each(readdirSync(nanoModels))('%s', async (name) => expectToHold(join(nanoModels, name)), slowMs);
});

const models = (process.env.PHIBLOCKS_CHECK_MODELS ?? '')
  .split(process.platform === 'win32' ? ';' : ':')
  .filter(Boolean);
describe.skipIf(models.length === 0)('models that PHIBLOCKS_CHECK_MODELS names', () => {
  it.each(models.length === 0 ? ['none'] : models)('%s', async (path) => expectToHold(path), slowMs);
});
