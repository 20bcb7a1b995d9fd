import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DefaultTheme } from 'vitepress';
import { repositoryPages } from './repository-links.ts';

const docs = fileURLToPath(new URL('../../', import.meta.url));

/** The order in which pages are best read, tutorials as in the README; others follow by title. */
const order = [
  ...['rope', 'block-sparse-attention', 'grouped-query-attention', 'kv-cache', 'mixture-of-experts', 'quantization'],
  ...['hd-transform', 'clip-and-projector', 'tokenizer', 'samplers'],
  ...[
    'first-generation',
    'import-one-block',
    'build-phi-3-mini',
    'swap-attention',
    'check-your-port',
    'browser-worker',
  ],
  ...['extend-context', 'quantize-and-measure', 'long-context-evaluation', 'retrieval', 'escalate'],
];

/** The pages of a folder with the titles they have. */
function pagesOf(folder: string): DefaultTheme.SidebarItem[] {
  if (!existsSync(resolve(docs, folder))) return [];
  const names = readdirSync(resolve(docs, folder))
    .filter((file) => file.endsWith('.md') && file !== 'index.md')
    .map((file) => file.slice(0, -3));
  const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length);
  return names
    .map((name) => ({ name, title: titleOf(`${folder}/${name}.md`) }))
    .sort((a, b) => rank(a.name) - rank(b.name) || textOf(a.title).localeCompare(textOf(b.title)))
    .map(({ name, title }) => ({ text: title, link: `/${folder}/${name}` }));
}

/** The first heading of a page, as HTML. */
export function titleOf(file: string): string {
  const heading = /^# (.+)$/m.exec(readFileSync(resolve(docs, file), 'utf8'))?.[1];
  if (heading === undefined) throw new Error(`docs/${file} has no heading`);
  return heading
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/`([^`]+)`/g, '<code>$1</code>');
}

const textOf = (html: string): string => html.replace(/<[^>]+>/g, '');

/** One item per entry of a package in the API reference, called as it is imported. */
function apiPages(): DefaultTheme.SidebarItem[] {
  const found: DefaultTheme.SidebarItem[] = [];
  const visit = (folder: string): void => {
    if (!existsSync(resolve(docs, folder))) return;
    for (const entry of readdirSync(resolve(docs, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.md') && entry.name !== 'index.md') {
        // An entry of several lies in the folder of its package: `@phiblocks/weights/@phiblocks/weights/node`.
        const name = path.slice('api/'.length, -3).replace(/^@phiblocks\/[^/]+\/(?=@)/, '');
        found.push({ text: name, link: `/${path.slice(0, -3)}` });
      }
    }
  };
  visit('api');
  return found.sort((a, b) => a.text!.localeCompare(b.text!));
}

/** The side bar of every page: the same everywhere, so that one always knows what there is. */
export function sidebar(): DefaultTheme.SidebarItem[] {
  const project = repositoryPages();
  const readmes = (folder: string): DefaultTheme.SidebarItem[] =>
    project
      .filter(({ page }) => page.startsWith(`${folder}/`))
      .map(({ page }) => ({ text: page.slice(folder.length + 1), link: `/project/${page}` }));
  return [
    { text: 'Building blocks', items: pagesOf('blocks') },
    { text: 'Tutorials', items: pagesOf('tutorials') },
    {
      text: 'At hand',
      items: [
        { text: 'Which Phi-3 am I holding?', link: '/which-phi-3' },
        { text: 'Playground', link: '/playground' },
        { text: 'Benchmarks', link: '/benchmarks' },
        { text: 'What platforms lack', link: '/platform-faults' },
      ],
    },
    { text: 'Packages', collapsed: true, items: readmes('packages') },
    { text: 'Programs', collapsed: true, items: readmes('apps') },
    { text: 'API reference', collapsed: true, items: apiPages() },
    {
      text: 'Project',
      collapsed: true,
      items: [
        { text: 'Overview', link: '/project/overview' },
        { text: 'Documentation and decisions', link: '/README' },
        { text: 'Contributing', link: '/project/contributing' },
        { text: 'Writing pages of this site', link: '/CONTRIBUTING-site' },
        { text: 'Security', link: '/project/security' },
        ...project
          .filter(({ page }) => /^(?:tools|internal)\//.test(page))
          .map(({ page, file }) => ({ text: titleOf(`../${file}`), link: `/project/${page}` })),
      ],
    },
    { text: 'Decisions', collapsed: true, items: pagesOf('decisions') },
  ];
}
