// What each LongRoPE policy gives across the change of list, against the recorded logits of the published code:
//   node bench/policies.mjs (build first; needs the shared reference data)
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../dist/node.js';

const here = dirname(fileURLToPath(import.meta.url));
const goldens = join(process.env.PHIBLOCKS_SHARED ?? resolve(here, '../../../../shared'), 'goldens');
if (!existsSync(goldens)) {
  console.log(`skipped: no golden cases at ${goldens} (set PHIBLOCKS_SHARED)`);
  process.exit(0);
}

function readExpected(name) {
  const file = readFileSync(join(goldens, name, 'expected.safetensors'));
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength));
  return (key) => {
    const [from, to] = header[key].data_offsets.map((offset) => file.byteOffset + 8 + headerLength + offset);
    const bytes = file.buffer.slice(from, to);
    return header[key].dtype === 'I32' ? new Int32Array(bytes) : new Float32Array(bytes);
  };
}

const rows = [];
for (const name of ['phi3-longrope-a', 'phi3-su-gqa-a']) {
  const expected = readExpected(name);
  const ids = expected('crossing/greedy_ids');
  const recorded = expected('crossing/greedy_logits');
  const model = await loadModel(join(goldens, name), { backend: 'reference' });
  const { vocabSize } = model.config;
  for (const ropePolicy of ['reference', 'rerotate', 'capacity', 'short', 'long']) {
    const session = model.createSession({ ropePolicy });
    let { data } = await session.advance(expected('crossing/input_ids'));
    let worst = 0;
    let same = 0;
    for (const [step, id] of ids.entries()) {
      for (let i = 0; i < vocabSize; i++) worst = Math.max(worst, Math.abs(data[i] - recorded[step * vocabSize + i]));
      if (data.indexOf(data.reduce((best, value) => Math.max(best, value))) === id) same++;
      if (step < ids.length - 1) ({ data } = await session.advance([id])); // the recorded token, whatever was chosen
    }
    rows.push({
      case: name,
      ropePolicy,
      'largest difference': worst.toExponential(1),
      'same token': `${same} of ${ids.length}`,
    });
    session.dispose();
  }
  await model.dispose();
}
console.table(rows);
