import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
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

/**
 * Third-party packages that a published package may need, each for a reason in a decision record. All others need nothing but
 * packages of this workspace.
 */
export const thirdPartyDependencies: ReadonlyMap<string, readonly string[]> = new Map([
  ['@phiblocks/hub', ['@huggingface/hub', '@noble/hashes']],
]);

/** What a package needs of {@link thirdPartyDependencies}, its dependencies' needs included. */
export function thirdPartyNeeds(library: WorkspacePackage): string[] {
  const names = [library, ...workspaceDependencies(library)].map(({ name }) => name);
  return names.flatMap((name) => thirdPartyDependencies.get(name) ?? []);
}

/**
 * Packs the third-party packages, and those that they need, as they lie in `node_modules`: without network there is nowhere
 * else to install them from.
 *
 * @returns the tarballs by package name
 */
export async function packThirdParty(destination: string): Promise<Map<string, string[]>> {
  const packed = new Map<string, string[]>();
  for (const [owner, names] of thirdPartyDependencies) {
    const library = libraries.find(({ name }) => name === owner);
    if (library === undefined) throw new Error(`${owner} is not in this workspace`);
    for (const name of names) {
      const tarballs: string[] = [];
      await packInstalled(join(library.path, 'node_modules', name), destination, tarballs);
      packed.set(name, tarballs);
    }
  }
  return packed;
}

async function packInstalled(folder: string, destination: string, tarballs: string[]): Promise<void> {
  const real = await realpath(folder);
  const manifest = JSON.parse(await readFile(join(real, 'package.json'), 'utf8')) as {
    name: string;
    dependencies?: Record<string, string>;
  };
  const [npm, args] = npmCommand();
  const options = ['pack', real, '--ignore-scripts', '--json', '--pack-destination', destination];
  const { stdout } = await execute(npm, [...args, ...options], { cwd: destination, maxBuffer: 1 << 26 });
  const [{ filename }] = JSON.parse(stdout) as { filename: string }[];
  // Older npm names a scoped package's tarball by its scope and a slash here, and without the slash on the disk.
  tarballs.push(join(destination, filename.replace(/^@/, '').replace('/', '-')));
  // pnpm lays a package's dependencies beside it.
  const beside = real.slice(0, -manifest.name.length);
  for (const name of Object.keys(manifest.dependencies ?? {}))
    await packInstalled(join(beside, name), destination, tarballs);
}

/** npm lies beside the npx that brings pnpm. */
function npmCommand(): [string, string[]] {
  const [file, npxArgs] = pnpmCommand([]);
  return file === process.execPath ? [file, [join(dirname(npxArgs[0]), 'npm-cli.js')]] : ['npm', []];
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
  thirdParty: ReadonlyMap<string, readonly string[]>,
  folder: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const tarballs = [library, ...workspaceDependencies(library)].map(({ name }) => {
    const one = packed.get(name);
    if (one === undefined) throw new Error(`${name} was not packed`);
    return one.tarball;
  });
  for (const name of thirdPartyNeeds(library)) tarballs.push(...(thirdParty.get(name) ?? []));
  const npm = npmCommand();
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
