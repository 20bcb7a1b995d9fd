import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** The fields of a `package.json` that the tests look at. */
export interface Manifest {
  name: string;
  private?: boolean;
  description?: string;
  license?: string;
  type?: string;
  sideEffects?: boolean;
  main?: string;
  files?: string[];
  engines?: Record<string, string>;
  bin?: Record<string, string>;
  exports?: Record<string, string | Record<string, string>>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

/** One package of the workspace. */
export interface WorkspacePackage {
  name: string;
  /** Path from the root, with forward slashes: `packages/gqa`. */
  folder: string;
  /** Absolute path. */
  path: string;
  manifest: Manifest;
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

/** The packages below `packages`, `apps` or `internal`, sorted by folder, so that a new one is tested without being listed. */
export function listPackages(group: 'packages' | 'apps' | 'internal'): WorkspacePackage[] {
  const groupPath = join(repositoryRoot, group);
  return readdirSync(groupPath)
    .sort()
    .filter((name) => existsSync(join(groupPath, name, 'package.json')))
    .map((name) => {
      const manifest = readManifest(join(groupPath, name));
      return { name: manifest.name, folder: `${group}/${name}`, path: join(groupPath, name), manifest };
    });
}

/** What is published to be imported. */
export const libraries: readonly WorkspacePackage[] = listPackages('packages').filter((one) => !one.manifest.private);

/** Where a package of data keeps it: a folder in its `exports` and in its `files`. */
export const dataFolder = 'models';

/** Code entries of a package from its `exports`: `.` and, where it has one, `./node`. */
export function entriesOf({ manifest }: WorkspacePackage): { entry: string; distFile: string; sourceFile: string }[] {
  return Object.entries(manifest.exports ?? {})
    .filter(([entry]) => entry !== './package.json' && entry !== `./${dataFolder}/*`)
    .map(([entry, target]) => {
      const distFile = typeof target === 'string' ? target : target.default;
      return { entry, distFile, sourceFile: distFile.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts') };
    });
}

/** Every file below a folder that is written by hand, as paths relative to it with forward slashes. */
export function listFiles(folder: string, prefix = ''): string[] {
  const leftOut = new Set(['node_modules', 'dist', 'generated', 'coverage', 'reports', '.turbo', '.git', '.vite-temp']);
  return readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    if (leftOut.has(entry.name)) return [];
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    return entry.isDirectory() ? listFiles(folder, path) : [path];
  });
}

/** True for files that never reach `dist`. */
export function isTestOrTooling(file: string): boolean {
  return !file.startsWith('src/') || /\.(test|bench)\.ts$/.test(file);
}
