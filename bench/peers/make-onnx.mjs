// Writes the Q4_0 weights of a phi3 GGUF file as an ONNX graph, value for value, in the layout that transformers.js loads:
//   node make-onnx.mjs FILE.gguf DIRECTORY
// Operators as ONNX Runtime's own exports of this family use them: MatMulNBits (4 bits, blocks of 32, int8 activations),
// GroupQueryAttention with its rotary inside, SimplifiedLayerNormalization. The head runs on the last position only.
// Source: docs/ContribOperators.md of ONNX Runtime 1.30. The graph is one protobuf message, so weights must stay below 2 GB.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import proto from 'onnx-proto';
import { openCheckpoint } from '../../packages/runtime/dist/node.js';

const { onnx } = proto;
const blockLength = 32;
const FLOAT = 1;
const UINT8 = 2;
const INT32 = 6;
const INT64 = 7;

const [source, out] = process.argv.slice(2);
if (!source || !out) {
  console.error('node make-onnx.mjs FILE.gguf DIRECTORY');
  process.exit(2);
}
const { config, weights } = await openCheckpoint(source);
if (config.modelType !== 'phi3') throw new Error(`only phi3 has a graph here, not ${config.modelType}`);
const headDim = config.hiddenSize / config.numAttentionHeads;
const nodes = [];
const initializers = [];

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
function constant(name, dataType, dims, values) {
  initializers.push({ name, dataType, dims, rawData: bytesOf(values) });
  return name;
}
function attribute(name, value) {
  if (typeof value === 'number' && Number.isInteger(value)) return { name, type: 2, i: value };
  if (typeof value === 'number') return { name, type: 1, f: value };
  return { name, type: 7, ints: value };
}
function node(opType, input, outputs, attributes = {}, domain = '') {
  nodes.push({
    name: outputs[0],
    opType,
    domain,
    input,
    output: outputs,
    attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  });
  return outputs[0];
}

/** Rows `from` to `to` of a Q4_0 matrix. GGUF pairs values 0 and 16 of a block in a byte, this operator 0 and 1. */
async function linear(name, key, input, from, to) {
  const { shape, format } = weights.tensors.get(key);
  if (format !== 'Q4_0') throw new Error(`${key} is ${format}; make the file with --format q4_0`);
  const [rows, columns] = shape;
  const first = from ?? 0;
  const count = (to ?? rows) - first;
  const blocks = columns / blockLength;
  const stored = (await weights.readBytes(key)).subarray(first * blocks * 18, (first + count) * blocks * 18);
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  const packed = new Uint8Array(count * blocks * 16);
  const scales = new Float32Array(count * blocks);
  for (let block = 0; block < count * blocks; block++) {
    scales[block] = halfToFloat(view.getUint16(block * 18, true));
    for (let i = 0; i < 16; i++) {
      const at = block * 18 + 2;
      const quant = (index) => (index < 16 ? stored[at + index] & 15 : stored[at + index - 16] >> 4);
      packed[block * 16 + i] = quant(2 * i) | (quant(2 * i + 1) << 4);
    }
  }
  return node(
    'MatMulNBits',
    [
      input,
      constant(`${name}.quants`, UINT8, [count, blocks, 16], packed),
      constant(`${name}.scales`, FLOAT, [count * blocks], scales),
    ],
    [name],
    { K: columns, N: count, bits: 4, block_size: blockLength, accuracy_level: 4 },
    'com.microsoft',
  );
}

function halfToFloat(half) {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -size : size;
}

async function norm(name, key, input) {
  const { data, shape } = await weights.readFloats(key);
  const scale = constant(`${name}.weight`, FLOAT, shape, data);
  return node('SimplifiedLayerNormalization', [input, scale], [name], {
    axis: -1,
    epsilon: config.rmsNormEps,
    stash_type: 1,
  });
}

const int64 = (...values) => BigInt64Array.from(values.map(BigInt));
const table = await weights.readFloats('model.embed_tokens.weight');
let hidden = node('Gather', [constant('embedding', FLOAT, table.shape, table.data), 'input_ids'], ['embedded']);

node('ReduceSum', ['attention_mask', constant('axis', INT64, [1], int64(1))], ['tokens'], { keepdims: 0 });
node('Sub', ['tokens', constant('one', INT64, [1], int64(1))], ['last']);
const lastPosition = node('Cast', ['last'], ['seqlens'], { to: INT32 });
node('Shape', ['attention_mask'], ['maskShape']);
node('Gather', ['maskShape', constant('second', INT64, [], int64(1))], ['totalLength']);
const total = node('Cast', ['totalLength'], ['total'], { to: INT32 });

const half = headDim / 2;
const angles = Float64Array.from(
  { length: config.maxPositionEmbeddings * half },
  (_, i) => Math.floor(i / half) * config.ropeTheta ** ((-2 * (i % half)) / headDim),
);
const cosines = constant('cosines', FLOAT, [config.maxPositionEmbeddings, half], Float32Array.from(angles, Math.cos));
const sines = constant('sines', FLOAT, [config.maxPositionEmbeddings, half], Float32Array.from(angles, Math.sin));

for (let layer = 0; layer < config.numHiddenLayers; layer++) {
  const at = `layer.${layer}`;
  const key = `model.layers.${layer}`;
  const normed = await norm(`${at}.inputNorm`, `${key}.input_layernorm.weight`, hidden);
  const packed = await linear(`${at}.qkv`, `${key}.self_attn.qkv_proj.weight`, normed);
  const attended = node(
    'GroupQueryAttention',
    [
      packed,
      '',
      '',
      `past_key_values.${layer}.key`,
      `past_key_values.${layer}.value`,
      lastPosition,
      total,
      cosines,
      sines,
    ],
    [`${at}.attended`, `present.${layer}.key`, `present.${layer}.value`],
    {
      num_heads: config.numAttentionHeads,
      kv_num_heads: config.numKeyValueHeads,
      do_rotary: 1,
      scale: 1 / Math.sqrt(headDim),
      ...(config.slidingWindow ? { local_window_size: config.slidingWindow } : {}),
    },
    'com.microsoft',
  );
  const projected = await linear(`${at}.o`, `${key}.self_attn.o_proj.weight`, attended);
  hidden = node('Add', [hidden, projected], [`${at}.afterAttention`]);
  const normedAgain = await norm(`${at}.postNorm`, `${key}.post_attention_layernorm.weight`, hidden);
  const size = config.intermediateSize;
  const gateAndUp = `${key}.mlp.gate_up_proj.weight`;
  const gate = await linear(`${at}.gate`, gateAndUp, normedAgain, 0, size);
  const up = await linear(`${at}.up`, gateAndUp, normedAgain, size, 2 * size);
  node('Sigmoid', [gate], [`${at}.sigmoid`]);
  node('Mul', [gate, `${at}.sigmoid`], [`${at}.silu`]);
  node('Mul', [`${at}.silu`, up], [`${at}.gated`]);
  const down = await linear(`${at}.down`, `${key}.mlp.down_proj.weight`, `${at}.gated`);
  hidden = node('Add', [hidden, down], [`${at}.out`]);
}
const [from, to, along] = [int64(-1), int64(2 ** 53), int64(1)].map((values, i) =>
  constant(['from', 'to', 'along'][i], INT64, [1], values),
);
node('Slice', [await norm('finalNorm', 'model.norm.weight', hidden), from, to, along], ['lastHidden']);
node('Identity', [await linear('head', 'lm_head.weight', 'lastHidden')], ['logits']);

const value = (name, elemType, ...dims) => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: { dim: dims.map((dim) => (typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim })) },
    },
  },
});
const cacheValues = (prefix, length) =>
  Array.from({ length: config.numHiddenLayers }, (_, layer) =>
    ['key', 'value'].map((kind) =>
      value(`${prefix}.${layer}.${kind}`, FLOAT, 'batch_size', config.numKeyValueHeads, length, headDim),
    ),
  ).flat();
const model = onnx.ModelProto.encode({
  irVersion: 9,
  producerName: 'phiblocks bench/peers',
  opsetImport: [
    { domain: '', version: 21 },
    { domain: 'com.microsoft', version: 1 },
  ],
  graph: {
    name: 'phi3',
    node: nodes,
    initializer: initializers,
    input: [
      value('input_ids', INT64, 'batch_size', 'sequence_length'),
      value('attention_mask', INT64, 'batch_size', 'total_sequence_length'),
      ...cacheValues('past_key_values', 'past_sequence_length'),
    ],
    output: [
      value('logits', FLOAT, 'batch_size', 1, config.vocabSize),
      ...cacheValues('present', 'total_sequence_length'),
    ],
  },
}).finish();

await mkdir(join(out, 'onnx'), { recursive: true });
await writeFile(join(out, 'onnx/model_q4.onnx'), model);
await writeFile(
  join(out, 'config.json'),
  JSON.stringify({
    architectures: ['Phi3ForCausalLM'],
    model_type: 'phi3',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    num_key_value_heads: config.numKeyValueHeads,
    bos_token_id: 1,
    eos_token_id: 2,
  }),
);
console.log(`${model.length} bytes`);
