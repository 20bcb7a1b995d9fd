// Writes a checkpoint of a published shape with seeded random weights, so that anyone can measure speed and memory without
// the published weights. Its text means nothing. Run `pnpm run build` first; write outside the repository.
//
//   node tools/synthetic/make-checkpoint.mjs --shape phi-3-mini --format q4_0 --out FILE.gguf [--seed N]
//   node tools/synthetic/make-checkpoint.mjs --shape eighth --format f16 --out DIRECTORY [--seed N] [--layers N] [--narrow N]
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  phi3SmallTensorPlan,
  phi3TensorPlan,
  phi3VisionTensorPlan,
  phiMoeTensorPlan,
} from '../../packages/runtime/dist/index.js';
import { float32ToBfloat16, float32ToFloat16 } from '../../packages/tensor/dist/index.js';
import {
  ggufMetadataOf,
  ggufTensorName,
  parsePhi3Config,
  writeSafetensors,
} from '../../packages/weights/dist/index.js';
import { cutShape, shapes } from './shapes.mjs';

const tensorPlans = {
  phi3: phi3TensorPlan,
  phi3small: phi3SmallTensorPlan,
  phimoe: phiMoeTensorPlan,
  phi3_v: phi3VisionTensorPlan,
};

/**
 * How a block of each format is made finite: random bytes, with float16 scales at these offsets. `spread` is the root mean
 * square of the values of random quants at scale 1; `minimum` is the ratio of the second scale to the first that centres them.
 * Source of the layouts: ggml-common.h of llama.cpp.
 */
const blockFormats = new Map(
  Object.entries({
    Q4_0: { id: 2, weights: 32, bytes: 18, scale: 0, spread: 4.6 },
    Q4_1: { id: 3, weights: 32, bytes: 20, scale: 0, spread: 4.6, minimum: -7.5 },
    Q5_0: { id: 6, weights: 32, bytes: 22, scale: 0, spread: 9.2 },
    Q5_1: { id: 7, weights: 32, bytes: 24, scale: 0, spread: 9.2, minimum: -15.5 },
    Q8_0: { id: 8, weights: 32, bytes: 34, scale: 0, spread: 74 },
    Q4_K: { id: 12, weights: 256, bytes: 144, scale: 0, spread: 230, minimum: 7.5 },
    Q5_K: { id: 13, weights: 256, bytes: 176, scale: 0, spread: 460, minimum: 15.5 },
    Q6_K: { id: 14, weights: 256, bytes: 210, scale: 208, spread: 1370 },
  }),
);
const floatFormats = new Map(
  Object.entries({ F32: { id: 0, bytes: 4 }, F16: { id: 1, bytes: 2 }, BF16: { id: 30, bytes: 2 } }),
);
const pieceSize = 8 * 2 ** 20;

/** Writes the checkpoint; `log` is told what is done. */
export async function makeCheckpoint({ shape, format, out, seed = 1, layers, narrow, log = () => {} }) {
  const given = shapes.get(shape);
  if (!given) throw new RangeError(`--shape must be one of ${[...shapes.keys()].join(', ')}, not ${shape}`);
  const wanted = String(format).toUpperCase();
  const isGguf = out.endsWith('.gguf');
  const known = [...floatFormats.keys(), ...(isGguf ? blockFormats.keys() : [])];
  if (!known.includes(wanted)) {
    throw new RangeError(
      `--format of a ${isGguf ? 'GGUF file' : 'directory'} must be one of ${known.join(', ')}, not ${format}`,
    );
  }
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new RangeError(`--seed must be a whole number from 0 up, not ${seed}`);
  const config = cutShape(given, { layers, narrow });
  if (isGguf && config.model_type !== 'phi3' && config.model_type !== 'phimoe') {
    throw new RangeError(`GGUF has no architecture for ${shape}: give a directory as --out`);
  }
  const parsed = parsePhi3Config(new TextEncoder().encode(JSON.stringify(config)));
  const plan = [...tensorPlans[config.model_type](parsed)].map(([name, tensorShape]) => ({
    name,
    shape: [...tensorShape],
  }));
  const tensors = (isGguf ? ggufTensors(plan) : plan).map(({ name, shape: tensorShape, parts }) => {
    // Vectors are float32, as llama.cpp's converter has them, and so are routers.
    const isFloat32 = isGguf && (tensorShape.length === 1 || name.includes('ffn_gate_inp'));
    const stored = isFloat32 ? 'F32' : wanted;
    return { name, parts, shape: tensorShape, format: stored, sizeInBytes: sizeOf(stored, tensorShape) };
  });
  const write = isGguf ? writeGguf : writeDirectory;
  await write({ config, parsed, tensors, out, seed, log });
}

/** Under the names of GGUF, which has the experts of a layer in one tensor `[experts, out, in]`; `parts` are the checkpoint's. */
function ggufTensors(plan) {
  const named = new Map();
  for (const part of plan) {
    const name = ggufTensorName(part.name);
    named.set(name, [...(named.get(name) ?? []), part]);
  }
  return [...named].map(([name, parts]) => {
    const isExperts = parts[0].name.includes('.experts.');
    return { name, parts, shape: isExperts ? [parts.length, ...parts[0].shape] : parts[0].shape };
  });
}

function sizeOf(format, shape) {
  const count = shape.reduce((product, size) => product * size, 1);
  const block = blockFormats.get(format);
  if (!block) return count * floatFormats.get(format).bytes;
  if (shape.at(-1) % block.weights !== 0) throw new RangeError(`${format} needs rows in multiples of ${block.weights}`);
  return (count / block.weights) * block.bytes;
}

/** The bytes of a tensor, piece by piece. They depend on the seed and the tensor's name only. */
function* tensorBytes({ name, shape, format }, seed) {
  const random = createRandom(name, seed);
  const total = sizeOf(format, shape);
  const isVector = shape.length === 1;
  const isBias = isVector && name.endsWith('.bias');
  const isEmbedding = name === 'model.embed_tokens.weight';
  const columns = name.includes('patch_embedding') ? shape.slice(1).reduce((a, b) => a * b, 1) : shape.at(-1);
  // Rows that keep the size of what they are multiplied with; norms near 1; embeddings that the layers do not drown.
  const spread = isVector ? 0.1 : isEmbedding ? 1 : 1 / Math.sqrt(columns);
  const block = blockFormats.get(format);
  const unit = block ? block.bytes : floatFormats.get(format).bytes;
  const whole = Math.floor(pieceSize / (4 * unit)) * 4 * unit; // words of 4 bytes and whole blocks
  const buffer = new Uint32Array(Math.ceil(Math.min(whole, total) / 4));
  const scales = block && scaleTable(spread / block.spread, block.minimum);
  const values = block ? undefined : valueTable(format, spread, isVector && !isBias ? 1 : 0);
  for (let done = 0; done < total; done += whole) {
    const piece = new Uint8Array(buffer.buffer, 0, Math.min(whole, total - done));
    if (block) {
      random(buffer);
      for (let at = 0; at < piece.length; at += block.bytes) setScales(piece, at + block.scale, scales, piece[at + 5]);
    } else {
      const bytes = new Uint32Array(Math.ceil(piece.length / unit));
      random(bytes);
      const view = format === 'F32' ? new Float32Array(buffer.buffer) : new Uint16Array(buffer.buffer);
      for (let i = 0; i < bytes.length; i++) view[i] = values[bytes[i] >>> 20];
    }
    yield piece;
  }
}

/** 256 pairs of float16 scales around one, half of them negative. */
function scaleTable(scale, minimum) {
  return Array.from({ length: 256 }, (_, i) => {
    const first = scale * (0.5 + (i & 127) / 127) * (i < 128 ? 1 : -1);
    return { first: float32ToFloat16(first), second: minimum && float32ToFloat16(minimum * first) };
  });
}

function setScales(bytes, at, table, index) {
  const { first, second } = table[index];
  bytes[at] = first & 255;
  bytes[at + 1] = first >> 8;
  if (second === undefined) return;
  bytes[at + 2] = second & 255;
  bytes[at + 3] = second >> 8;
}

/** 4,096 values of a bell-shaped distribution (the sum of three uniform ones), encoded. */
function valueTable(format, spread, centre) {
  const random = new Uint32Array(3 * 4096);
  createRandom('values', 0)(random);
  const encode = { F32: (value) => value, F16: float32ToFloat16, BF16: float32ToBfloat16 }[format];
  return Array.from({ length: 4096 }, (_, i) => {
    const sum = (random[3 * i] + random[3 * i + 1] + random[3 * i + 2]) / 2 ** 32 - 1.5; // variance 3 / 12
    return encode(centre + 2 * spread * sum);
  });
}

/** xorshift32 (Marsaglia 2003), started from the tensor's name (FNV-1a) and the seed. */
function createRandom(name, seed) {
  let state = 0x811c9dc5;
  for (const character of `${seed}/${name}`) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193);
  state ||= 1;
  return (words) => {
    let x = state;
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[i] = x;
    }
    state = x;
  };
}

/** Special tokens, the 256 bytes, and pieces of one to four letters with and without a space before: any text works. */
function vocabulary(size) {
  const tokens = ['<unk>', '<s>', '</s>'];
  for (let byte = 0; byte < 256; byte++) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = [...'etaoinshrdlucmfwypvbgkjqxz'];
  let stems = ['', '▁'];
  tokens.push('▁');
  while (tokens.length < size) {
    stems = stems.flatMap((stem) => letters.map((letter) => stem + letter));
    for (const piece of stems) if (tokens.length < size) tokens.push(piece);
  }
  return tokens;
}
const firstPiece = 3 + 256;

async function writeGguf({ parsed, tensors, out, seed, log }) {
  const tokens = vocabulary(parsed.vocabSize);
  const types = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < firstPiece ? 6 : 1)); // unknown, control, byte, normal
  const header = new GgufHeader();
  const { metadata: described, tensors: factors } = ggufMetadataOf(parsed, {
    name: `synthetic, seed ${seed}`,
    vocabulary: {
      model: 'llama',
      tokens,
      scores: Float32Array.from(tokens, (_, id) => (id < firstPiece ? 0 : firstPiece - id)),
      tokenTypes: Int32Array.from(types),
      bosTokenId: 1,
      eosTokenId: 2,
      addBosToken: true,
    },
  });
  const metadata = [...described].map(([key, { type, value }]) => [key, type, value]);
  const listed = [...tensors, ...factors.map((tensor) => ({ ...tensor, sizeInBytes: tensor.bytes.length }))];
  header.bytes(new TextEncoder().encode('GGUF'));
  header.uint32(3);
  header.uint64(listed.length);
  header.uint64(metadata.length);
  for (const [key, type, value] of metadata) header.entry(key, type, value);
  let offset = 0;
  for (const { name, shape, format, sizeInBytes } of listed) {
    header.text(name);
    header.uint32(shape.length);
    for (const size of [...shape].reverse()) header.uint64(size);
    header.uint32((blockFormats.get(format) ?? floatFormats.get(format)).id);
    header.uint64(offset);
    offset = align(offset + sizeInBytes);
  }
  header.bytes(new Uint8Array(align(header.length) - header.length));
  await writeWhole(out, async (write) => {
    for (const part of header.parts) await write(part);
    for (const [index, tensor] of listed.entries()) {
      for (const part of tensor.parts ?? []) {
        for (const piece of tensorBytes({ ...part, format: tensor.format }, seed)) await write(piece);
      }
      if (tensor.bytes) await write(tensor.bytes);
      await write(new Uint8Array(align(tensor.sizeInBytes) - tensor.sizeInBytes));
      log(`${index + 1} of ${listed.length} tensors`);
    }
  });
}

const align = (size) => Math.ceil(size / 32) * 32;

/** Little-endian, version 3: docs/gguf.md of ggml. */
class GgufHeader {
  length = 0;
  parts = [];

  bytes(bytes) {
    this.parts.push(bytes);
    this.length += bytes.length;
  }
  view(size, set) {
    const view = new DataView(new ArrayBuffer(size));
    set(view);
    this.bytes(new Uint8Array(view.buffer));
  }
  uint32(value) {
    this.view(4, (view) => view.setUint32(0, value, true));
  }
  uint64(value) {
    this.view(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  text(text) {
    const bytes = new TextEncoder().encode(text);
    this.uint64(bytes.length);
    this.bytes(bytes);
  }
  array(type, values) {
    this.uint32(9);
    this.uint32(type);
    this.uint64(values.length);
  }
  entry(key, type, value) {
    this.text(key);
    if (type === 'uint32') {
      this.uint32(4);
      this.uint32(value);
    } else if (type === 'float32') {
      this.uint32(6);
      this.view(4, (view) => view.setFloat32(0, value, true));
    } else if (type === 'bool') {
      this.uint32(7);
      this.bytes(new Uint8Array([value ? 1 : 0]));
    } else if (type === 'string') {
      this.uint32(8);
      this.text(value);
    } else if (type === 'string[]') {
      this.array(8, value);
      for (const text of value) this.text(text);
    } else {
      this.array(type === 'float32[]' ? 6 : 5, value);
      const numbers = type === 'float32[]' ? Float32Array.from(value) : Int32Array.from(value);
      this.bytes(new Uint8Array(numbers.buffer));
    }
  }
}

const largestShard = 2 * 10 ** 9;

async function writeDirectory({ config, tensors, out, seed, log }) {
  await mkdir(out, { recursive: true });
  const shards = [];
  let size = largestShard;
  for (const tensor of tensors) {
    if (size + tensor.sizeInBytes > largestShard && size > 0) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1).push(tensor);
    size += tensor.sizeInBytes;
  }
  const map = {};
  const number = (value) => String(value).padStart(5, '0');
  for (const [index, shard] of shards.entries()) {
    const file = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    for (const { name } of shard) map[name] = file;
    const described = shard.map((tensor) => ({
      name: tensor.name,
      dtype: tensor.format,
      shape: tensor.shape,
      bytes: () => wholeTensor(tensor, seed),
    }));
    await writeWhole(join(out, file), (write) => writeSafetensors({ write }, described));
    log(`${index + 1} of ${shards.length} files`);
  }
  const totalSize = tensors.reduce((sum, tensor) => sum + tensor.sizeInBytes, 0);
  const index = { metadata: { total_size: totalSize }, weight_map: map };
  await writeFile(join(out, 'model.safetensors.index.json'), JSON.stringify(index, null, 2));
  // Phi-3-small brings its tokenizer as a list of 100,256 ranks, which is not a matter of shape.
  if (config.model_type !== 'phi3small') {
    await writeFile(join(out, 'tokenizer.json'), JSON.stringify(tokenizerJson(config.vocab_size)));
  }
  await writeFile(join(out, 'config.json'), JSON.stringify(config, null, 2));
}

function wholeTensor(tensor, seed) {
  const bytes = new Uint8Array(tensor.sizeInBytes);
  let next = 0;
  for (const piece of tensorBytes(tensor, seed)) {
    bytes.set(piece, next);
    next += piece.length;
  }
  return bytes;
}

/** In the form of the published checkpoints: byte-pair encoding over SentencePiece's pieces. */
function tokenizerJson(vocabSize) {
  const tokens = vocabulary(vocabSize);
  const special = (id) => ({
    id,
    content: tokens[id],
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const pieces = tokens.slice(firstPiece).filter((piece) => piece.length > 1);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [0, 1, 2].map(special),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: pieces.map((piece) => `${piece.slice(0, -1)} ${piece.at(-1)}`),
    },
  };
}

/** The file appears whole or not at all. */
async function writeWhole(path, produce) {
  const partial = `${path}.partial`;
  const file = await open(partial, 'w');
  try {
    await produce(async (bytes) => {
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
    });
    await file.close();
    await rename(partial, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(partial, { force: true });
    throw error;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: { shape: text, format: text, out: text, seed: text, layers: text, narrow: text },
  });
  const { shape, format, out, seed = '1', layers, narrow = '1' } = values;
  try {
    if (!shape || !format || !out) throw new RangeError('--shape, --format and --out are needed');
    const log = (message) => process.stderr.isTTY && process.stderr.write(`\r${message} `);
    const cut = { layers: layers === undefined ? undefined : Number(layers), narrow: Number(narrow) };
    await makeCheckpoint({ shape, format, out, seed: Number(seed), ...cut, log });
  } catch (error) {
    process.stderr.write(`make-checkpoint: ${error.message}\n`);
    process.exitCode = 1;
  }
}
