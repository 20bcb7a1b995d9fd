import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { buildForProduction } from './tools/build-command.ts';
import { rangeServerTraffic, servePatternedCheckpoint, stopRangeServer } from './tools/range-server-commands.ts';
import { listShared, readShared } from './tools/shared-data-commands.ts';

// The tests that need a browser. `tools/browser-tests.mjs` runs them; `vitest.config.ts` leaves them out.

const isolationHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

// Software adapters: right for correctness, meaningless for speed. Chromium hides them without these flags.
const softwareGpu = ['--enable-unsafe-swiftshader', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

interface BrowserProject {
  /** Also the folder below `test/` of a package that holds its tests. */
  readonly name: string;
  readonly headers?: Record<string, string>;
  readonly flags?: readonly string[];
}

function browserProject({ name, headers = {}, flags = [] }: BrowserProject) {
  return {
    server: { headers },
    // A dependency found late would reload the page in the middle of a test.
    optimizeDeps: { include: ['fast-check'] },
    test: {
      name,
      include: [`packages/*/test/${name}/**/*.test.ts`, `apps/*/test/${name}/**/*.test.ts`],
      testTimeout: 120_000,
      hookTimeout: 120_000,
      // One page at a time: software rendering takes every core there is.
      fileParallelism: false,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        commands: {
          readShared,
          listShared,
          buildForProduction,
          servePatternedCheckpoint,
          rangeServerTraffic,
          stopRangeServer,
        },
        provider: playwright({
          launchOptions: {
            executablePath: process.env.CHROMIUM_PATH,
            // Chromium's own sandbox cannot start for root, who runs most build machines.
            args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), ...flags],
          },
        }),
        instances: [{ browser: 'chromium' as const }],
      },
    },
  };
}

export default defineConfig({
  test: {
    projects: [
      browserProject({ name: 'browser', headers: isolationHeaders, flags: softwareGpu }),
      // No shared memory, and no WebGPU adapter: what a plain static host and an older browser offer.
      browserProject({ name: 'browser-not-isolated', flags: ['--enable-unsafe-swiftshader'] }),
    ],
  },
});
