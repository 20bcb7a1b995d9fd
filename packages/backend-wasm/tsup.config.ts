import { defineConfig } from 'tsup';
import { packageBuild } from '../../tsup.base.ts';

// The worker is a file of its own: threads are started from it.
export default defineConfig(packageBuild(['src/index.ts', 'src/worker.ts']));
