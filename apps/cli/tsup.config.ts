import { defineConfig } from 'tsup';
import { packageBuild } from '../../tsup.base.ts';

export default defineConfig(
  packageBuild([], { entry: { cli: 'src/cli.ts', 'quantize-worker': 'src/quantize/quantize-worker.ts' } }),
);
