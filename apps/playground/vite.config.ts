import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const nanoMini = fileURLToPath(new URL('../../packages/nano/models/nano-mini/', import.meta.url));
const nanoFiles = existsSync(nanoMini) ? readdirSync(nanoMini) : [];
const ggufFile = nanoFiles.find((name) => name.endsWith('.gguf'));

/** Puts the model that the page loads by default beside it, where the workspace has it. */
function withNanoMini(): Plugin {
  return {
    name: 'nano-mini',
    apply: 'build',
    generateBundle() {
      for (const name of nanoFiles) {
        if (!/\.(?:gguf|safetensors|json|tiktoken)$/.test(name)) continue;
        this.emitFile({ type: 'asset', fileName: `models/nano-mini/${name}`, source: readFileSync(nanoMini + name) });
      }
    },
  };
}

export default defineConfig(({ command }) => {
  const folder = command === 'serve' ? `/@fs${nanoMini}` : './models/nano-mini/';
  const hasFolder = nanoFiles.includes('config.json');
  const nanoMiniUrl = hasFolder ? folder : ggufFile && folder + ggufFile;
  return {
    // The page works below any path.
    base: './',
    // False where the workspace has no nano-mini yet; the page says so.
    define: { __NANO_MINI_URL__: JSON.stringify(nanoMiniUrl ?? false) },
    // Else the development server answers for files that a checkpoint may leave out with the page itself.
    appType: 'mpa',
    worker: { format: 'es' },
    // Found late, in a worker, it would make the development server load the page again.
    optimizeDeps: { include: ['gpu.js'] },
    // Nothing as data: or blob: URLs, which a strict content security policy refuses.
    build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 1000 },
    plugins: [withNanoMini()],
  };
});
