import { readRepositoryFile, repositoryPages } from '../.vitepress/build/repository-links.ts';

// One page per document of the repository outside `docs`: the READMEs of the packages, how to contribute, security.
export default {
  watch: ['../../*.md', '../../packages/*/README.md', '../../apps/*/README.md', '../../tools/*/README.md'],
  paths: () =>
    repositoryPages().map(({ page, file }) => ({ params: { page, file }, content: readRepositoryFile(file) })),
};
