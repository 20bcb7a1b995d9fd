// `npm test [-- FILTER …]`: install, build, typecheck, lint and every test. The last line counts what happened.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pnpmCommand, repositoryRoot, requireSupportedNode, run } from './processes.mjs';

requireSupportedNode();

const reportFile = join(repositoryRoot, 'reports/tests.json');
const filters = process.argv.slice(2);
let failedStages = 0;

/** Runs one stage and says how it went; its output is shown only when it fails. */
async function stage(name, command, { quiet = true } = {}) {
  const begin = performance.now();
  const { exitCode, interrupted, output } = await run(command, { quiet });
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (interrupted) process.exit(exitCode);
  if (exitCode !== 0) {
    failedStages++;
    process.stdout.write(output);
  }
  console.log(`${exitCode === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  return exitCode === 0;
}

/** A stage that failed counts as one failed test, so that a failing run never closes with "0 failed". */
function close({ passed, failed, skipped }) {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

const turbo = (task) => pnpmCommand(['exec', 'turbo', 'run', task]);
const script = (path, ...args) => [process.execPath, [join(repositoryRoot, 'node_modules', path), ...args]];

// Later stages make no sense without these two.
const ready = (await stage('install', pnpmCommand(['install']))) && (await stage('build', turbo('build')));
if (!ready) close({ passed: 0, failed: failedStages, skipped: 0 });
await stage('typecheck', turbo('typecheck'));
await stage('lint', script('@biomejs/biome/bin/biome', 'check', '.'));

mkdirSync(join(repositoryRoot, 'reports'), { recursive: true });
rmSync(reportFile, { force: true }); // an old report must not speak for this run
const stagesBefore = failedStages;
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
const testsEndedWell = await stage('test', script('vitest/vitest.mjs', 'run', ...reporters, ...filters), {
  quiet: false,
});

const counts = { passed: 0, failed: stagesBefore, skipped: 0 };
for (const file of readReport().testResults) {
  const statuses = file.assertionResults.map((test) => test.status);
  const failed = statuses.filter((status) => status === 'failed').length;
  counts.passed += statuses.filter((status) => status === 'passed').length;
  // A file that could not be loaded, or whose hooks failed, has no failed test of its own.
  counts.failed += failed === 0 && file.status === 'failed' ? 1 : failed;
  counts.skipped += statuses.filter((status) => status !== 'passed' && status !== 'failed').length;
}
// Nothing failed and yet vitest is not content: an unhandled error, or no test at all.
if (!testsEndedWell && counts.failed === stagesBefore) counts.failed++;
close(counts);

function readReport() {
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}
