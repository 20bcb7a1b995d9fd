import { defineConfig } from 'tsup';
import { packageBuild } from '../../tsup.base.ts';

// gpu.js stays outside: who does not use this backend does not pay for it.
export default defineConfig(packageBuild(['src/index.ts'], { external: ['gpu.js'] }));
