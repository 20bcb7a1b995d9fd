// `node tools/browser-tests.mjs [FILTER …]`: the tests that need a browser, in Chromium. Without one they are skipped, and
// the run says so; with REQUIRE_BROWSER set it fails instead.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repositoryRoot, run } from './processes.mjs';

/** Chromium: `CHROMIUM_PATH`, else the first of the usual names on `PATH`; undefined where there is none. */
export function findChromium(environment = process.env) {
  if (environment.CHROMIUM_PATH) return environment.CHROMIUM_PATH;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (environment.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
}

/** Why the tests cannot run, or undefined when they can. */
export function missingBrowser(environment = process.env) {
  const path = findChromium(environment);
  if (path === undefined) return 'no Chromium found on PATH, and CHROMIUM_PATH is not set';
  return existsSync(path) ? undefined : `CHROMIUM_PATH names ${path}, which does not exist`;
}

/** The command that runs them; `args` go to vitest. */
export function browserTestCommand(args) {
  const vitest = join(repositoryRoot, 'node_modules/vitest/vitest.mjs');
  return [process.execPath, [vitest, 'run', '--config', join(repositoryRoot, 'vitest.browser.config.ts'), ...args]];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const reason = missingBrowser();
  if (reason === undefined) {
    const command = browserTestCommand(process.argv.slice(2));
    const { exitCode } = await run(command, { env: { CHROMIUM_PATH: findChromium() } });
    process.exitCode = exitCode;
  } else {
    console.log(`browser tests skipped: ${reason}`);
    process.exitCode = process.env.REQUIRE_BROWSER ? 1 : 0;
  }
}
