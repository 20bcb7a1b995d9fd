import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { alignedColumns } from './build/aligned-columns.ts';
import { codeWords } from './build/code-words.ts';
import { hangingIndent } from './build/hanging-indent.ts';
import { copyPlayground, servePlayground } from './build/playground.ts';
import { repositoryLinks } from './build/repository-links.ts';
import { scrollingTables } from './build/scrolling-tables.ts';
import { sidebar } from './build/sidebar.ts';
import { wholeWords } from './build/whole-words.ts';

// Below which path the site is served: `DOCS_BASE=/phiblocks/ pnpm docs:build`.
const base = process.env.DOCS_BASE ?? '/';
if (!/^\/(?:[\w.-]+\/)*$/.test(base)) {
  throw new Error(`DOCS_BASE begins and ends with a slash, like /phiblocks/, got ${base}`);
}

export default defineConfig({
  base,
  lang: 'en',
  title: 'phiblocks',
  description: 'The Phi-3 model family as building blocks: explained, and running in the page.',
  srcExclude: ['node_modules/**', 'test/**'],
  // A link that leads nowhere fails the build: there is no exception.
  ignoreDeadLinks: false,
  lastUpdated: false,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}icon.svg` }]],
  markdown: {
    // Of GitHub's themes those whose comments, which hold the values of examples, can be read on the theme's grey.
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-default' },
    codeTransformers: [hangingIndent, codeWords],
    config: (markdown) => {
      markdown.use(repositoryLinks);
      markdown.use(wholeWords);
      markdown.use(scrollingTables);
      markdown.use(alignedColumns);
    },
  },
  themeConfig: {
    nav: [
      { text: 'Blocks', link: '/blocks/rope', activeMatch: '/blocks/' },
      { text: 'Tutorials', link: '/tutorials/first-generation', activeMatch: '/tutorials/' },
      { text: 'Which Phi-3?', link: '/which-phi-3' },
      { text: 'Playground', link: '/playground' },
      { text: 'API', link: '/api/', activeMatch: '/api/' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
    footer: {
      message: 'MIT licence. Phi-3 is Microsoft’s; this project is not affiliated with Microsoft.',
    },
  },
  vite: {
    build: { target: 'es2022', chunkSizeWarningLimit: 3000 },
    worker: { format: 'es' },
    plugins: [servePlayground(base)],
    server: { fs: { allow: [fileURLToPath(new URL('../../', import.meta.url))] } },
  },
  buildEnd({ outDir, site }) {
    copyPlayground(outDir);
    // What the tests of the built site must know about it.
    writeFileSync(join(outDir, 'site.json'), `${JSON.stringify({ base: site.base })}\n`);
  },
});
