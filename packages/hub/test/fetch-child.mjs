// A process that fetches, to be killed or raced: node fetch-child.mjs ENDPOINT CACHE MODEL
import { fetchCheckpoint } from '../dist/node.js';

const [endpoint, cacheDirectory, model] = process.argv.slice(2);
const { files } = await fetchCheckpoint({ model, endpoint, cacheDirectory, token: false, offline: false });
const { path, origin } = files.get('model.safetensors');
process.stdout.write(JSON.stringify({ path, origin }));
