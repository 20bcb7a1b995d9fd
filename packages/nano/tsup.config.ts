import { defineConfig } from 'tsup';
import { packageBuild } from '../../tsup.base.ts';
import { nanoModelNames } from './src/names.ts';

// One module per model beside the index: its `new URL('../models/…', import.meta.url)` must stay one folder below.
export default defineConfig(packageBuild(['src/index.ts', ...nanoModelNames.map((name) => `src/${name}.ts`)]));
