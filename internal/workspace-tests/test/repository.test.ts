import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { layerOf } from '../src/arrows.ts';
import { dataFolder, libraries, listFiles, listPackages, repositoryRoot } from '../src/workspace.ts';

const apps = listPackages('apps');
const internals = listPackages('internal');

/** The files of the repository as git knows them; all that is no build output where there is no git, as in an archive. */
function committedFiles(): string[] {
  try {
    const listed = execFileSync('git', ['ls-files', '-z'], {
      cwd: repositoryRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return listed.split('\0').filter((file) => file !== '' && existsSync(join(repositoryRoot, file)));
  } catch {
    return listFiles(repositoryRoot).filter((file) => !file.startsWith('docs/api/') && !file.endsWith('.tgz'));
  }
}

const files = committedFiles();
const isText = (file: string) => !/\.(png|jpe?g|gif|webp|ico|safetensors|gguf|npy|wasm|bin|woff2?)$/.test(file);
const textOf = (file: string) => readFileSync(join(repositoryRoot, file), 'utf8');

/** Every line of the given files that a pattern matches, as `file:line: text`. */
function linesWith(pattern: RegExp, among: readonly string[]): string[] {
  return among.flatMap((file) =>
    textOf(file)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
}

describe('what is committed', () => {
  // The patterns are written so that they do not match their own source.
  test.each([
    ['a path of one machine', /(?<![\w.\-/])\/(?:work|tmp|root|home|mnt|Users)\/\w/],
    ['a drive of one machine', /(?<!\w)[A-Z]:\\{1,2}(?:Users|Temp|work)\b/],
    ['the host of a package registry', /\b(?:registry|artifactory|nexus|verdaccio|npm-proxy)\.[a-z-]+\.[a-z]{2,}\b/i],
    ['a setting for a package registry', /^\s*(?:@[\w-]+:)?registry\s*=/],
    ['an address in a private network', /\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}:\d+/],
    ['an address in the lockfile', /\btarball: http/],
    ['a token', /\b(?:_auth[T]oken|gh[pousr]_\w{20,}|npm_\w{30,}|hf_\w{30,})\b/],
  ])('names nowhere %s', (_what, pattern) => {
    expect(linesWith(pattern, files.filter(isText))).toEqual([]);
  });

  test('ends its lines the same way everywhere', () => {
    expect(files.filter(isText).filter((file) => textOf(file).includes('\r\n'))).toEqual([]);
  });

  test('holds no build output and no archives', () => {
    expect(
      files.filter((file) => /(^|\/)(dist|node_modules|coverage|\.turbo|generated)\/|\.(tgz|cjs|cts)$/.test(file)),
    ).toEqual([]);
  });

  test('holds no file too large to review, except the lockfile, recorded cases and the weights of the nano models', () => {
    const isWeights = (file: string) => /^packages\/nano\/models\/[\w-]+\/model\.safetensors$/.test(file);
    const large = files.filter(
      (file) => !isWeights(file) && readFileSync(join(repositoryRoot, file)).length > 256 * 1024,
    );
    expect(large.filter((file) => file !== 'pnpm-lock.yaml')).toEqual([]);
  });
});

describe('the TypeScript sources', () => {
  const sources = files.filter((file) => /\.(ts|mts|tsx|mjs)$/.test(file));

  test.each([
    ['double type assertions', /\bas\s+unknown\s+as\b/],
    ['tests that silence the others', /\b(?:test|it|describe)\.only\b/],
    ['unfinished work', /\b(?:T(?:ODO)|F(?:IXME)|X{3}|H(?:ACK))\b/],
    ['switched-off type checks', /@ts-(?:ignore|nocheck)/],
    ['CommonJS', /\brequire\s*\(\s*['"`]|\bmodule\.exports\b|\bexports\.\w+\s*=/],
  ])('have no %s', (_what, pattern) => {
    expect(linesWith(pattern, sources)).toEqual([]);
  });

  test('skip tests only where shared reference data is missing', () => {
    const elsewhere = sources.filter((file) => !file.startsWith('internal/testing/'));
    expect(linesWith(/\b(?:test|it|describe)\.(?:skip|todo)\b(?!If)/, elsewhere)).toEqual([]);
  });
});

const changesets = readdirSync(join(repositoryRoot, '.changeset'))
  .filter((file) => file.endsWith('.md'))
  .map((file) => textOf(`.changeset/${file}`));

describe.each([...libraries, ...apps.filter((one) => !one.manifest.private)])('$name', ({ name, folder, manifest }) => {
  test('says what it is', () => {
    expect(manifest.description).toMatch(/\w+.*\.$/);
    expect(manifest.license).toBe('MIT');
    expect(existsSync(join(repositoryRoot, folder, 'README.md')), `${folder}/README.md`).toBe(true);
  });

  test('is an ES module and nothing else', () => {
    expect(manifest.type).toBe('module');
    expect(manifest.main).toBeUndefined();
    for (const [entry, target] of Object.entries(manifest.exports ?? {})) {
      if (entry === './package.json' || entry === `./${dataFolder}/*`) continue;
      expect(Object.keys(target), entry).toEqual(['types', 'default']);
    }
  });

  test('ships its build and says on which Node it runs', () => {
    // The checker also ships the Python program that records references.
    const more = layerOf(name) === 'data' ? [dataFolder] : name === '@phiblocks/reference-checker' ? ['reference'] : [];
    expect(manifest.files).toEqual(['dist', ...more]);
    expect(manifest.engines).toEqual({ node: '>=20.19.0' });
  });

  test('tells its changes', () => {
    const told = existsSync(join(repositoryRoot, folder, 'CHANGELOG.md'));
    const toBeTold = changesets.some((text) => text.includes(`'${name}':`) || text.includes(`"${name}":`));
    expect(told || toBeTold, `${name} has neither a changelog nor a changeset`).toBe(true);
  });
});

test.each(libraries)('$name promises that importing it does nothing', ({ manifest }) => {
  expect(manifest.sideEffects).toBe(false);
});

test.each(internals)('$name stays in the workspace', ({ manifest }) => {
  expect(manifest.private).toBe(true);
});

test('every decision record is dated, listed and has the same parts', () => {
  const records = readdirSync(join(repositoryRoot, 'docs/decisions')).filter((file) => file.endsWith('.md'));
  const index = textOf('docs/README.md');
  expect(records.length).toBeGreaterThan(0);
  for (const record of records) {
    expect(record).toMatch(/^\d{4}-\d{2}-\d{2}-[a-z0-9-]+\.md$/);
    expect(index, record).toContain(`decisions/${record}`);
    const headings = [...textOf(`docs/decisions/${record}`).matchAll(/^#{1,2} (.+)$/gm)].map(([, heading]) => heading);
    expect(headings.slice(1), record).toEqual(['Context', 'Decision', 'Consequences', 'Measured']);
  }
});

test('links between the documents of the repository lead somewhere', () => {
  const broken = files
    .filter((file) => file.endsWith('.md') && !file.endsWith('CHANGELOG.md'))
    .flatMap((file) =>
      [...textOf(file).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target]) => target.split('#')[0])
        .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(join(repositoryRoot, file, '..', target)))
        .map((target) => `${file}: ${target}`),
    );
  expect(broken).toEqual([]);
});
