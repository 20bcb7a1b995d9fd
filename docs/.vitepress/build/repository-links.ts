import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MarkdownEnv, MarkdownRenderer } from 'vitepress';

// Documents of the repository are pages of the site, and their links are written as they are on disk. What a link means is
// decided here, and a link that means nothing fails the build.

const repositoryRoot = fileURLToPath(new URL('../../../', import.meta.url));

/** A document outside `docs` and the page that is made of it. */
export interface RepositoryPage {
  /** Below `project/`: `packages/gqa`. */
  readonly page: string;
  /** In the repository: `packages/gqa/README.md`. */
  readonly file: string;
}

/** The documents outside `docs` that are pages: READMEs, and what lies at the root. */
export function repositoryPages(): RepositoryPage[] {
  const atRoot = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md'].map((file) => ({
    page: file === 'README.md' ? 'overview' : file.replace('.md', '').toLowerCase(),
    file,
  }));
  const readmes = ['packages', 'apps', 'tools', 'internal'].flatMap((folder) =>
    readdirSync(resolve(repositoryRoot, folder))
      .map((name) => ({ page: `${folder}/${name}`, file: `${folder}/${name}/README.md` }))
      .filter(({ file }) => existsSync(resolve(repositoryRoot, file))),
  );
  return [...atRoot, ...readmes];
}

/** The text of a document. */
export function readRepositoryFile(file: string): string {
  return readFileSync(resolve(repositoryRoot, file), 'utf8');
}

/** What a link becomes: another address, or nothing but its text. */
export type LinkTarget = { readonly href: string } | 'text';

/**
 * What a link in a document means on the site; undefined where it stays as it is.
 *
 * @param href - as written
 * @param file - the document in the repository that has the link
 * @throws Error for a file, a package or a name that does not exist
 */
export function linkTarget(href: string, file: string): LinkTarget | undefined {
  if (href.startsWith('api:')) return { href: apiPage(href.slice('api:'.length), file) };
  if (href === '' || /^(?:[a-z][a-z+.-]*:|#|\/)/i.test(href)) return undefined;
  const [path, hash] = href.split(/(?=#)/, 2) as [string, string | undefined];
  const target = posix.normalize(posix.join(posix.dirname(file), path)).replace(/\/$/, '');
  if (target.startsWith('docs/')) {
    // Within docs VitePress checks links itself, once they are relative to the site.
    const inDocs = target.slice('docs/'.length);
    if (file.startsWith('docs/') && target.endsWith('.md')) return undefined;
    if (target.endsWith('.md')) return { href: `/${inDocs}${hash ?? ''}` };
    if (inDocs === 'decisions') return { href: '/README.md#decisions' };
  }
  if (target === 'docs') return { href: '/README.md' };
  const page = repositoryPages().find((one) => one.file === target || posix.dirname(one.file) === target);
  if (page !== undefined && target !== '.') return { href: `/project/${page.page}.md${hash ?? ''}` };
  if (!existsSync(resolve(repositoryRoot, target))) throw new Error(`${file}: the link ${href} leads nowhere`);
  return 'text';
}

/** `gqa/keyValueCacheBytes` → its place in the API reference, which has one page per entry of a package. */
function apiPage(name: string, file: string): string {
  const [packageName, member] = name.split('/') as [string, string | undefined];
  const pages = apiPagesOf(`@phiblocks/${packageName}`);
  if (pages.length === 0) throw new Error(`${file}: api:${name} names a package that the API reference does not have`);
  if (member === undefined) return `/${pages[0]}`;
  const heading = new RegExp(`<a id="([\\w-]+)"></a>\\s+### ${member}(?:\\(\\))?\\n`);
  for (const page of pages) {
    const anchor = heading.exec(readRepositoryFile(`docs/${page}`))?.[1];
    if (anchor !== undefined) return `/${page}#${anchor}`;
  }
  throw new Error(`${file}: api:${name} names something that ${packageName} does not export`);
}

/** The pages of a package: one, or an overview and one per entry, each where the import that it is called by puts it. */
function apiPagesOf(name: string): string[] {
  const path = `api/${name}`;
  if (existsSync(resolve(repositoryRoot, `docs/${path}.md`))) return [`${path}.md`];
  if (!existsSync(resolve(repositoryRoot, `docs/${path}`))) return [];
  return ['index.md', `${name}.md`, `${name}/node.md`].map((page) => `${path}/${page}`);
}

/** The document in the repository that a page is made of. */
export function sourceOfPage(relativePath: string): string {
  if (!relativePath.startsWith('project/')) return `docs/${relativePath}`;
  const page = relativePath.slice('project/'.length).replace(/\.md$/, '');
  return repositoryPages().find((one) => one.page === page)?.file ?? `docs/${relativePath}`;
}

/** The markdown-it plugin that does it. */
export function repositoryLinks(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('repository-links', (state) => {
    const { relativePath } = state.env as Partial<MarkdownEnv>;
    if (relativePath === undefined) return; // a title alone, which VitePress renders by itself
    const file = sourceOfPage(relativePath);
    for (const block of state.tokens) {
      let isText = false;
      for (const token of block.children ?? []) {
        if (token.type === 'link_open') {
          const target = linkTarget(token.attrGet('href') ?? '', file);
          if (target === 'text') {
            isText = true;
            token.tag = 'span';
            token.type = 'html_open';
            token.attrs = null;
          } else if (target !== undefined) token.attrSet('href', target.href);
        } else if (token.type === 'link_close' && isText) {
          isText = false;
          token.tag = 'span';
          token.type = 'html_close';
        } else if (token.type === 'image' && !file.startsWith('docs/')) {
          const source = token.attrGet('src') ?? '';
          if (/^[a-z]+:/i.test(source)) continue;
          // Pages lie in docs/project: pictures stay where they are, and the bundler finds them.
          const picture = posix.join(posix.dirname(file), source);
          token.attrSet('src', posix.relative(posix.dirname(`docs/${relativePath}`), picture));
        }
      }
    }
  });
}
