import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { linkTarget, repositoryPages, sourceOfPage } from '../.vitepress/build/repository-links.ts';

describe('links of documents', () => {
  it.each([
    ['https://arxiv.org/abs/2404.14219', 'README.md', undefined],
    ['#here', 'README.md', undefined],
    ['benchmarks.md', 'docs/README.md', undefined],
    ['../benchmarks.md#nano-models', 'docs/decisions/x.md', undefined],
    ['../CONTRIBUTING.md', 'docs/README.md', { href: '/project/contributing.md' }],
    ['../packages/nano/README.md#what', 'docs/benchmarks.md', { href: '/project/packages/nano.md#what' }],
    ['packages/gqa', 'README.md', { href: '/project/packages/gqa.md' }],
    ['docs/benchmarks.md', 'README.md', { href: '/benchmarks.md' }],
    ['docs/decisions', 'README.md', { href: '/README.md#decisions' }],
    [
      '../../docs/decisions/2026-11-21-esm-only.md',
      'packages/nano/README.md',
      { href: '/decisions/2026-11-21-esm-only.md' },
    ],
    ['tools/test.mjs', 'CONTRIBUTING.md', 'text'],
  ])('%s in %s', (href, file, expected) => {
    expect(linkTarget(href, file)).toEqual(expected);
  });

  it('that lead nowhere fail the build', () => {
    expect(() => linkTarget('packages/gpa', 'README.md')).toThrow('leads nowhere');
    expect(() => linkTarget('api:no-such-package', 'docs/blocks/rope.md')).toThrow('does not have');
  });
});

it('every page of a document knows its document', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  for (const { page, file } of repositoryPages()) {
    expect(existsSync(root + file)).toBe(true);
    expect(sourceOfPage(`project/${page}.md`)).toBe(file);
  }
  expect(sourceOfPage('blocks/rope.md')).toBe('docs/blocks/rope.md');
});
