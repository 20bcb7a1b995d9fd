// How fast the reference backend writes with the small trained model: pnpm --filter @phiblocks/runtime bench
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { collect } from '../dist/index.js';
import { loadModel } from '../dist/node.js';

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(process.env.PHIBLOCKS_SHARED ?? resolve(here, '../../../../shared'), 'models/stories260k-phi3');
if (!existsSync(folder)) {
  console.log(`runtime bench skipped: no model at ${folder} (set PHIBLOCKS_SHARED)`);
  process.exit(0);
}
const model = await loadModel(folder);
const rows = [];
for (let run = 0; run < 5; run++) {
  const { timings } = await collect(model.generate({ promptIds: [1], maxNewTokens: 200, ignoreEos: true }));
  rows.push({ 'new tokens/s': Math.round(timings.decodeTokensPerSecond) });
}
console.log(`node ${process.version}, reference backend, stories260K (260,032 parameters), 200 tokens`);
console.table(rows);
await model.dispose();
