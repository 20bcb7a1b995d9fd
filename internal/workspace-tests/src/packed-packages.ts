import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { pnpmCommand } from '../../../tools/processes.mjs';
import { libraries, repositoryRoot, type WorkspacePackage } from './workspace.ts';

const execute = promisify(execFile);

/** A package as a user gets it: packed, and installed where nothing else is. */
export interface PackedPackage {
  tarball: string;
  tarballSizeInBytes: number;
  /** Names of the files in the tarball, without the leading `package/`. */
  files: string[];
}

/**
 * Packs packages as a release would: with pnpm, which puts versions where the workspace has `workspace:^`.
 *
 * @param packages - to be packed; each must have been built
 * @param destination - folder for the tarballs
 */
export async function packAll(
  packages: readonly WorkspacePackage[],
  destination: string,
): Promise<Map<string, PackedPackage>> {
  const filters = packages.flatMap(({ name }) => ['--filter', name]);
  const [file, args] = pnpmCommand(['--recursive', ...filters, 'pack', '--pack-destination', destination, '--json']);
  // The dependencies were installed by whoever started the tests; packing must not install again.
  const env = { ...process.env, pnpm_run_skip_deps_check: 'true' };
  const { stdout } = await execute(file, args, { cwd: repositoryRoot, env, maxBuffer: 1 << 26 });
  const reports = [JSON.parse(stdout)].flat() as { name: string; filename: string; files: { path: string }[] }[];
  const packed = new Map<string, PackedPackage>();
  for (const report of reports) {
    const tarball = join(destination, basename(report.filename));
    packed.set(report.name, {
      tarball,
      tarballSizeInBytes: (await stat(tarball)).size,
      files: report.files.map((one) => one.path).sort(),
    });
  }
  return packed;
}

/** The packages of this workspace that a package needs at run time, its dependencies' dependencies included. */
export function workspaceDependencies(library: WorkspacePackage): WorkspacePackage[] {
  const found = new Set<WorkspacePackage>();
  const visit = (one: WorkspacePackage): void => {
    for (const name of Object.keys(one.manifest.dependencies ?? {})) {
      const dependency = libraries.find((candidate) => candidate.name === name);
      if (dependency === undefined || found.has(dependency)) continue;
      found.add(dependency);
      visit(dependency);
    }
  };
  visit(library);
  return [...found];
}

/**
 * Installs a package and the packages of this workspace it needs into an empty folder, with npm, which a user is most
 * likely to have, and offline: a package that needed anything else could not be installed.
 */
export async function installAlone(
  library: WorkspacePackage,
  packed: ReadonlyMap<string, PackedPackage>,
  folder: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const tarballs = [library, ...workspaceDependencies(library)].map(({ name }) => {
    const one = packed.get(name);
    if (one === undefined) throw new Error(`${name} was not packed`);
    return one.tarball;
  });
  const [file, npxArgs] = pnpmCommand([]);
  // npm lies beside the npx that brings pnpm.
  const npm: [string, string[]] =
    file === process.execPath ? [file, [join(dirname(npxArgs[0]), 'npm-cli.js')]] : ['npm', []];
  await execute(
    npm[0],
    [
      ...npm[1],
      'install',
      '--offline',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--no-package-lock',
      ...tarballs,
    ],
    { cwd: folder },
  );
}

/** Runs a module in a Node of its own and returns what it printed. */
export async function runModule(folder: string, code: string): Promise<string> {
  const { stdout } = await execute(process.execPath, ['--input-type=module', '--eval', code], { cwd: folder });
  return stdout;
}

/** Makes an empty folder outside the repository, where no `node_modules` above it can help out. */
export async function createEmptyFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'phiblocks alone '));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
