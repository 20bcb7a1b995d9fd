// What the root scripts share. They run before anything is installed, so they use Node's own modules only, and no syntax
// that a Node too old for the project could not parse before it is told so.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the repository. */
export const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'));

/** Ends the process with one line when Node is older than `engines.node` of the root `package.json`. */
export function requireSupportedNode() {
  const [, floorMajor, floorMinor] = /(\d+)\.(\d+)/.exec(manifest.engines.node);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > Number(floorMajor) || (major === Number(floorMajor) && minor >= Number(floorMinor))) return;
  console.error(`phiblocks needs Node ${floorMajor}.${floorMinor} or later; this is Node ${process.versions.node}`);
  process.exit(1);
}

/**
 * The command that runs the pnpm of `packageManager`: npx fetches that exact version once, so that Node and npm are all a
 * machine needs. npx is started as a script of this Node: its Windows wrapper is a `.cmd` file, which only a shell can
 * start, and a shell would need every argument quoted.
 *
 * @param {string[]} args - arguments for pnpm
 * @returns {[file: string, args: string[]]}
 */
export function pnpmCommand(args) {
  const nodeFolder = dirname(process.execPath);
  // npm tells its scripts where it is; pnpm and yarn set the same variable to themselves.
  const npm = process.env.npm_execpath;
  const candidates = [
    npm && basename(npm) === 'npm-cli.js' ? join(dirname(npm), 'npx-cli.js') : undefined,
    join(nodeFolder, 'node_modules/npm/bin/npx-cli.js'),
    join(nodeFolder, '../lib/node_modules/npm/bin/npx-cli.js'),
  ];
  const script = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
  const npxArgs = ['--yes', manifest.packageManager, ...args];
  return script === undefined ? ['npx', npxArgs] : [process.execPath, [script, ...npxArgs]];
}

/**
 * The command that runs tasks of the workspace, as many at once as there are processors, and shows only those that fail.
 *
 * @param {string[]} args - tasks and options for turbo
 */
export function turboCommand(args) {
  return pnpmCommand(['exec', 'turbo', 'run', ...args, '--concurrency=100%', '--output-logs=errors-only']);
}

/**
 * Runs a command to its end. Signals that reach this process are passed on, and the command decides how to end.
 *
 * @param {[file: string, args: string[]]} command
 * @param {{ cwd?: string, env?: Record<string, string>, quiet?: boolean }} [options] - with `quiet` the output is collected
 *   instead of shown
 * @returns {Promise<{ exitCode: number, interrupted: boolean, output: string }>} the exit code is 128 + the signal's number
 *   when a signal ended the command; `interrupted` is true when this process was asked to stop
 */
export function run([file, args], { cwd = repositoryRoot, env = {}, quiet = false } = {}) {
  const environment = {
    ...process.env,
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
    ...env,
  };
  // `npm --silent` hides npm's own lines; pnpm would take it over and hide its errors too.
  delete environment.npm_config_loglevel;
  return new Promise((settle) => {
    const child = spawn(file, args, { cwd, env: environment, stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));

    let interrupted = false;
    const forward = (signal) => {
      interrupted = true;
      // A terminal sends Ctrl-C to the whole group: passing it on would make it arrive twice.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const end = (exitCode, more = '') => {
      for (const signal of signals) process.off(signal, forward);
      settle({ exitCode, interrupted, output: Buffer.concat(chunks).toString('utf8') + more });
    };
    child.on('error', (error) => end(127, `${error.message}\n`));
    child.on('close', (code, signal) => end(code ?? 128 + (constants.signals[signal] ?? 0)));
  });
}
