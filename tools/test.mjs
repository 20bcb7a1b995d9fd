// `npm test [-- FILTER …]`: install, build, typecheck, lint and every test. The last line counts what happened.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { browserTestCommand, findChromium, missingBrowser } from './browser-tests.mjs';
import { pnpmCommand, repositoryRoot, requireSupportedNode, run, turboCommand } from './processes.mjs';

requireSupportedNode();

const filters = process.argv.slice(2);
const script = (path, ...args) => [process.execPath, [join(repositoryRoot, 'node_modules', path), ...args]];

// A stage that failed counts as one failed test, so that a failing run never closes with "0 failed".
const counts = { passed: 0, failed: 0, skipped: 0 };

// Later stages make no sense without these two.
if ((await stage('install', pnpmCommand(['install']))) && (await stage('build', turboCommand(['build'])))) {
  await stage('typecheck', turboCommand(['typecheck']));
  await stage('lint', script('@biomejs/biome/bin/biome', 'check', '.'));
  // Below a path, where an address that forgets it is found out. The tests of the site are among the others.
  await stage('docs', turboCommand(['docs:build']), { DOCS_BASE: '/phiblocks/' });
  await runTests('test', 'tests.json', (args) => script('vitest/vitest.mjs', 'run', ...args));
  await runBrowserTests();
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;

/** Runs one stage and says how it went; its output is shown only when it fails. */
async function stage(name, command, env = {}) {
  const succeeded = await timed(name, command, { quiet: true, env });
  if (!succeeded) counts.failed++;
  return succeeded;
}

async function timed(name, command, { quiet, env }) {
  const begin = performance.now();
  const { exitCode, interrupted, output } = await run(command, { quiet, env });
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (interrupted) process.exit(exitCode);
  if (exitCode !== 0) process.stdout.write(output);
  console.log(`${exitCode === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  return exitCode === 0;
}

/** One run of vitest, with a report that the last line is counted from. */
async function runTests(name, reportName, commandWith, env = {}) {
  const reportFile = join(repositoryRoot, 'reports', reportName);
  mkdirSync(join(repositoryRoot, 'reports'), { recursive: true });
  rmSync(reportFile, { force: true }); // an old report must not speak for this run
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
  // A filter that names tests of one kind must not fail the run of the other.
  const filterArgs = filters.length > 0 ? ['--passWithNoTests', ...filters] : [];
  const succeeded = await timed(name, commandWith([...reporters, ...filterArgs]), { quiet: false, env });

  let failed = 0;
  for (const file of readReport(reportFile).testResults) {
    const statuses = file.assertionResults.map((test) => test.status);
    const failedHere = statuses.filter((status) => status === 'failed').length;
    // A file that could not be loaded, or whose hooks failed, has no failed test of its own.
    failed += failedHere === 0 && file.status === 'failed' ? 1 : failedHere;
    counts.passed += statuses.filter((status) => status === 'passed').length;
    counts.skipped += statuses.filter((status) => status !== 'passed' && status !== 'failed').length;
  }
  // Nothing failed and yet vitest is not content: an unhandled error, or no test at all.
  counts.failed += !succeeded && failed === 0 ? 1 : failed;
}

/** Without a browser they count as one skipped test, or, where a browser was promised, as one that failed. */
async function runBrowserTests() {
  const reason = missingBrowser();
  if (reason === undefined) {
    await runTests('test in Chromium', 'browser-tests.json', browserTestCommand, { CHROMIUM_PATH: findChromium() });
    return;
  }
  const isRequired = Boolean(process.env.REQUIRE_BROWSER);
  console.log(`${isRequired ? 'FAILED' : 'skipped'} test in Chromium: ${reason}`);
  counts[isRequired ? 'failed' : 'skipped']++;
}

function readReport(reportFile) {
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}
