import type { ModelConfig, Phi3Config, Phi3SmallConfig, Phi3VisionConfig, PhiMoeConfig } from '@phiblocks/weights';
import type { Arithmetic } from './arithmetic.ts';
import { attention, type Visibility } from './attention.ts';
import type { StoredMatrix } from './decode.ts';
import {
  add,
  allocate,
  columns,
  type Defined,
  gegelu,
  layerNorm,
  linear,
  moved,
  quickGelu,
  rmsNorm,
  rounded,
  scale,
  swiglu,
} from './define.ts';
import { type DefinedRouting, routeTokens, runExperts } from './experts.ts';
import { type FactorList, rotaryTable, rotate } from './rotary.ts';

// The layers of each member, block by block in the order of computation, in float64, from the published layout. Written from
// the architecture alone: no package is used that computes, orders rows or names tensors.
// Sources: huggingface/transformers `modeling_phi3.py` and `modeling_phimoe.py`; `modeling_phi3_small.py`, published with
// its checkpoint; CLIP, arXiv:2103.00020.
// Shape letters: T rows, H query heads, K key/value heads, D headDim, C hiddenSize, I intermediateSize, V vocabSize.

/** A few consecutive positions that are computed together, behind a past that was made up for the purpose. */
export interface Station {
  readonly start: number;
  readonly length: number;
  readonly list: FactorList;
  /** Keys and values of the positions before, `[start, K·D]`. */
  readonly pastKeys: Float32Array;
  readonly pastValues: Float32Array;
}

/** Reads the tensors of a checkpoint as numbers. */
export interface DefinedTensors {
  matrix(key: string): Promise<StoredMatrix>;
  vector(key: string): Promise<Float32Array>;
}

/** The blocks of a part by name, in the order of computation; every value is what the next block is fed, once rounded. */
export class DefinedBlocks {
  readonly blocks = new Map<string, Defined>();
  /** Why the budget is what it is, by block. */
  readonly reasons = new Map<string, string>();
  routing: DefinedRouting | undefined;

  set(name: string, reason: string, defined: Defined): Float32Array {
    this.blocks.set(name, defined);
    this.reasons.set(name, reason);
    return rounded(defined);
  }
}

/** The embedding of `ids`, and its multiplier where the member has one. */
export async function defineEmbedding(
  config: ModelConfig,
  tensors: DefinedTensors,
  ids: Int32Array,
): Promise<DefinedBlocks> {
  const out = new DefinedBlocks();
  const table = await tensors.matrix('model.embed_tokens.weight');
  const rows = new Float32Array(ids.length * table.columns);
  for (const [row, id] of ids.entries()) {
    table.decodeRow(id, rows.subarray(row * table.columns, (row + 1) * table.columns));
  }
  out.set('embedTokens', 'exact', moved(rows, table.columns));
  if (config.modelType === 'phi3small') {
    out.set('embedMultiplier', 'add', scale(rows, config.mupEmbeddingMultiplier, table.columns));
  }
  return out;
}

/** One decoder layer over the rows of all stations, one below the other. */
export async function defineLayer(
  config: ModelConfig,
  tensors: DefinedTensors,
  index: number,
  hidden: Float32Array,
  stations: readonly Station[],
  arithmetic: Arithmetic,
): Promise<DefinedBlocks> {
  const out = new DefinedBlocks();
  const input: LayerInput = { tensors, prefix: `model.layers.${index}`, index, hidden, stations, arithmetic, out };
  switch (config.modelType) {
    case 'phi3':
    case 'phi3_v':
      await definePhi3Layer(config, input);
      break;
    case 'phi3small':
      await definePhi3SmallLayer(config, input);
      break;
    case 'phimoe':
      await definePhiMoeLayer(config, input);
      break;
  }
  return out;
}

interface LayerInput {
  readonly tensors: DefinedTensors;
  readonly prefix: string;
  readonly index: number;
  readonly hidden: Float32Array;
  readonly stations: readonly Station[];
  readonly arithmetic: Arithmetic;
  readonly out: DefinedBlocks;
}

async function definePhi3Layer(config: Phi3Config | Phi3VisionConfig, input: LayerInput): Promise<void> {
  const { tensors, prefix, hidden, arithmetic, out } = input;
  const { hiddenSize: C, intermediateSize: I, headDim: D, numAttentionHeads: H, numKeyValueHeads: K } = config;
  const rotary = setRotary(config, input);
  const norm1 = await tensors.vector(`${prefix}.input_layernorm.weight`);
  const normed = out.set('inputLayernorm', 'norm', rmsNorm(hidden, norm1, config.rmsNormEps, arithmetic));
  const qkv = out.set(
    'qkvProj',
    'linear',
    linear(normed, await tensors.matrix(`${prefix}.self_attn.qkv_proj.weight`), undefined, arithmetic),
  );
  // All queries, then all keys, then all values.
  const width = (H + 2 * K) * D;
  const heads = setSplit(
    out,
    columns(qkv, width, 0, H * D),
    columns(qkv, width, H * D, K * D),
    columns(qkv, width, (H + K) * D, K * D),
    K * D,
  );
  const attended = setAttention(config, input, rotary, heads, 1 / Math.sqrt(D), { window: config.slidingWindow });
  const output = await tensors.matrix(`${prefix}.self_attn.o_proj.weight`);
  const mixed = out.set('oProj', 'linear', linear(attended, output, undefined, arithmetic));
  const middle = out.set('attentionResidual', 'add', add(hidden, mixed, C));

  const norm2 = await tensors.vector(`${prefix}.post_attention_layernorm.weight`);
  const again = out.set('postAttentionLayernorm', 'norm', rmsNorm(middle, norm2, config.rmsNormEps, arithmetic));
  const gateUp = out.set(
    'gateUpProj',
    'linear',
    linear(again, await tensors.matrix(`${prefix}.mlp.gate_up_proj.weight`), undefined, arithmetic),
  );
  const gated = out.set('gated', 'gated', swiglu(gateUp, I, arithmetic));
  const down = await tensors.matrix(`${prefix}.mlp.down_proj.weight`);
  const mlp = out.set('mlp', 'linear', linear(gated, down, undefined, arithmetic));
  out.set('hidden', 'add', add(middle, mlp, C));
}

async function definePhi3SmallLayer(config: Phi3SmallConfig, input: LayerInput): Promise<void> {
  const { tensors, prefix, index, hidden, arithmetic, out } = input;
  const { hiddenSize: C, intermediateSize: I, headDim: D, numAttentionHeads: H, numKeyValueHeads: K } = config;
  const epsilon = config.layerNormEpsilon;
  const biased = async (x: Float32Array, name: string): Promise<Defined> =>
    linear(
      x,
      await tensors.matrix(`${prefix}.${name}.weight`),
      await tensors.vector(`${prefix}.${name}.bias`),
      arithmetic,
    );
  const normOf = async (x: Float32Array, name: string): Promise<Defined> =>
    layerNorm(
      x,
      await tensors.vector(`${prefix}.${name}.weight`),
      await tensors.vector(`${prefix}.${name}.bias`),
      epsilon,
      arithmetic,
    );
  const rotary = setRotary(config, input);
  const normed = out.set('inputLayernorm', 'norm', await normOf(hidden, 'input_layernorm'));
  // The file keeps one group per key/value head: its H/K query heads, its key, its value.
  const perGroup = H / K + 2;
  const fused = await biased(normed, 'self_attn.query_key_value');
  const headAt = (slot: (group: number) => number, count: number, query: boolean): Defined =>
    pick(fused, count * D, (column) => {
      const head = Math.floor(column / D);
      const group = query ? Math.floor(head / (H / K)) : head;
      return (group * perGroup + (query ? head % (H / K) : slot(group))) * D + (column % D);
    });
  const q = headAt(() => 0, H, true);
  const k = headAt(() => H / K, K, false);
  const v = headAt(() => H / K + 1, K, false);
  out.set('queryKeyValue', 'linear', beside(q, k, v));
  const heads = setSplit(out, rounded(q), rounded(k), rounded(v), K * D);
  // Maximal update parametrisation divides by D.
  const attentionScale = config.mupUseScaling ? config.mupAttnMultiplier / D : 1 / Math.sqrt(D);
  const every = config.denseAttentionEveryNLayers;
  const isDense = every !== undefined && (index + 1) % every === 0;
  const attended = setAttention(config, input, rotary, heads, attentionScale, {
    blocks: isDense
      ? undefined
      : {
          size: config.blocksparseBlockSize,
          local: config.blocksparseNumLocalBlocks,
          stride: config.blocksparseVertStride,
          headStep: config.blocksparseHomoHeadPattern ? 0 : Math.max(1, Math.floor(config.blocksparseVertStride / H)),
        },
  });
  const mixed = out.set('dense', 'linear', await biased(attended, 'self_attn.dense'));
  const middle = out.set('attentionResidual', 'add', add(hidden, mixed, C));

  const again = out.set('postAttentionLayernorm', 'norm', await normOf(middle, 'post_attention_layernorm'));
  // The file interleaves: even rows are the gate, odd rows the linear part.
  const interleaved = await biased(again, 'mlp.up_proj');
  const gateUp = pick(interleaved, 2 * I, (column) => (column < I ? 2 * column : 2 * (column - I) + 1));
  const up = out.set('upProj', 'linear', gateUp);
  const gated = out.set('gegelu', 'gated', gegelu(up, I, config.gegeluLimit, arithmetic));
  const mlp = out.set('mlp', 'linear', await biased(gated, 'mlp.down_proj'));
  out.set('hidden', 'add', add(middle, mlp, C));
}

async function definePhiMoeLayer(config: PhiMoeConfig, input: LayerInput): Promise<void> {
  const { tensors, prefix, hidden, arithmetic, out } = input;
  const { hiddenSize: C, headDim: D, numKeyValueHeads: K } = config;
  // Named so in the file, and yet the norms are LayerNorms.
  const epsilon = config.rmsNormEps;
  const normOf = async (x: Float32Array, name: string): Promise<Defined> =>
    layerNorm(
      x,
      await tensors.vector(`${prefix}.${name}.weight`),
      await tensors.vector(`${prefix}.${name}.bias`),
      epsilon,
      arithmetic,
    );
  const project = async (x: Float32Array, name: string): Promise<Defined> => {
    const bias = config.attentionBias ? await tensors.vector(`${prefix}.self_attn.${name}.bias`) : undefined;
    return linear(x, await tensors.matrix(`${prefix}.self_attn.${name}.weight`), bias, arithmetic);
  };
  const rotary = setRotary(config, input);
  const normed = out.set('inputLayernorm', 'norm', await normOf(hidden, 'input_layernorm'));
  const q = out.set('qProj', 'linear', await project(normed, 'q_proj'));
  const k = out.set('kProj', 'linear', await project(normed, 'k_proj'));
  const v = out.set('vProj', 'linear', await project(normed, 'v_proj'));
  const heads = { queries: q, keys: k, values: v, keyWidth: K * D };
  const attended = setAttention(config, input, rotary, heads, 1 / Math.sqrt(D), { window: config.slidingWindow });
  const mixed = out.set('oProj', 'linear', await project(attended, 'o_proj'));
  const middle = out.set('attentionResidual', 'add', add(hidden, mixed, C));

  const again = out.set('postAttentionLayernorm', 'norm', await normOf(middle, 'post_attention_layernorm'));
  const experts = `${prefix}.block_sparse_moe`;
  const scores = linear(again, await tensors.matrix(`${experts}.gate.weight`), undefined, arithmetic);
  out.routing = routeTokens(scores, config.routerJitterNoise);
  const chosen = await runExperts(
    again,
    out.routing,
    async (expert) => ({
      w1: await tensors.matrix(`${experts}.experts.${expert}.w1.weight`),
      w2: await tensors.matrix(`${experts}.experts.${expert}.w2.weight`),
      w3: await tensors.matrix(`${experts}.experts.${expert}.w3.weight`),
    }),
    C,
    arithmetic,
  );
  const mlp = out.set('experts', 'experts', chosen);
  out.set('hidden', 'add', add(middle, mlp, C));
}

/** Final norm and logits of `hidden`, `[T, V]`. */
export async function defineHead(
  config: ModelConfig,
  tensors: DefinedTensors,
  hidden: Float32Array,
  arithmetic: Arithmetic,
): Promise<DefinedBlocks> {
  const out = new DefinedBlocks();
  const norm = config.modelType === 'phi3small' ? 'model.final_layernorm' : 'model.norm';
  const weight = await tensors.vector(`${norm}.weight`);
  const normed =
    config.modelType === 'phi3' || config.modelType === 'phi3_v'
      ? rmsNorm(hidden, weight, config.rmsNormEps, arithmetic)
      : layerNorm(
          hidden,
          weight,
          await tensors.vector(`${norm}.bias`),
          config.modelType === 'phi3small' ? config.layerNormEpsilon : config.rmsNormEps,
          arithmetic,
        );
  const input = out.set('finalNorm', 'norm', normed);
  const bias = config.modelType === 'phimoe' && config.lmHeadBias ? await tensors.vector('lm_head.bias') : undefined;
  const key = config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  const logits = linear(input, await tensors.matrix(key), bias, arithmetic);
  if (config.modelType === 'phi3small') {
    out.set('lmHead', 'linear', logits);
    const divided = scale(rounded(logits), 1 / config.mupWidthMultiplier, logits.width);
    // Ids without a token get the most negative float32, exactly.
    for (let row = 0; row * logits.width < divided.exact.length; row++) {
      for (const id of config.dummyTokenIndices) {
        divided.exact[row * logits.width + id] = -(2 - 2 ** -23) * 2 ** 127;
        divided.budget[row * logits.width + id] = 0;
      }
    }
    out.set('logits', 'add', divided);
  } else {
    out.set('logits', 'linear', logits);
  }
  return out;
}

interface Heads {
  readonly queries: Float32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly keyWidth: number;
}

function setSplit(
  out: DefinedBlocks,
  queries: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  keyWidth: number,
): Heads {
  const rows = keys.length / keyWidth;
  out.set('qkvSplit.queries', 'exact', moved(queries, queries.length / rows));
  out.set('qkvSplit.keys', 'exact', moved(keys, keyWidth));
  out.set('qkvSplit.values', 'exact', moved(values, keyWidth));
  return { queries, keys, values, keyWidth };
}

interface Rotary {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly pairs: number;
}

function setRotary(config: ModelConfig, { stations, out }: LayerInput): Rotary {
  const tables = stations.map(({ start, length, list }) =>
    rotaryTable(
      config,
      list,
      Array.from({ length }, (_, row) => start + row),
    ),
  );
  const cos = stacked(tables.map((table) => table.cos));
  const sin = stacked(tables.map((table) => table.sin));
  return {
    cos: out.set('rotaryCos', 'rotaryTable', cos),
    sin: out.set('rotarySin', 'rotaryTable', sin),
    pairs: cos.width,
  };
}

/** Rotation, cache and attention, station by station: the only blocks in which rows meet. */
function setAttention(
  config: ModelConfig,
  { stations, arithmetic, out }: LayerInput,
  { cos, sin, pairs }: Rotary,
  { queries: plainQueries, keys: plainKeys, values, keyWidth }: Heads,
  attentionScale: number,
  visibility: Visibility,
): Float32Array {
  const { numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config;
  const queries = out.set('queries', 'rotate', rotate(plainQueries, cos, sin, D, pairs));
  const keys = out.set('keys', 'rotate', rotate(plainKeys, cos, sin, D, pairs));
  const parts: Defined[] = [];
  let row = 0;
  for (const { start, length, pastKeys, pastValues } of stations) {
    const ofStation = (rows: Float32Array, width: number) => rows.subarray(row * width, (row + length) * width);
    parts.push(
      attention(
        {
          queries: ofStation(queries, H * D),
          keys: joined(pastKeys, ofStation(keys, keyWidth)),
          values: joined(pastValues, ofStation(values, keyWidth)),
          numHeads: H,
          numKeyValueHeads: K,
          headDim: D,
          start,
          scale: attentionScale,
          visibility,
        },
        arithmetic,
      ),
    );
    row += length;
  }
  return out.set('attention', 'attention', stacked(parts));
}

/** One layer of CLIP over the tokens of one crop. */
export async function defineClipLayer(
  config: Phi3VisionConfig,
  tensors: DefinedTensors,
  index: number,
  hidden: Float32Array,
  arithmetic: Arithmetic,
): Promise<DefinedBlocks> {
  const out = new DefinedBlocks();
  const { hiddenSize: W, numAttentionHeads: H, layerNormEps } = config.imgProcessor.clipConfig;
  const prefix = `${tower}.encoder.layers.${index}`;
  const biased = async (x: Float32Array, name: string): Promise<Defined> =>
    linear(
      x,
      await tensors.matrix(`${prefix}.${name}.weight`),
      await tensors.vector(`${prefix}.${name}.bias`),
      arithmetic,
    );
  const normOf = async (x: Float32Array, name: string): Promise<Defined> =>
    layerNorm(
      x,
      await tensors.vector(`${prefix}.${name}.weight`),
      await tensors.vector(`${prefix}.${name}.bias`),
      layerNormEps,
      arithmetic,
    );
  const normed = out.set('layerNorm1', 'norm', await normOf(hidden, 'layer_norm1'));
  const queries = out.set('qProj', 'linear', await biased(normed, 'self_attn.q_proj'));
  const keys = out.set('kProj', 'linear', await biased(normed, 'self_attn.k_proj'));
  const values = out.set('vProj', 'linear', await biased(normed, 'self_attn.v_proj'));
  const attended = out.set(
    'attention',
    'attention',
    attention(
      {
        queries,
        keys,
        values,
        numHeads: H,
        numKeyValueHeads: H,
        headDim: W / H,
        start: 0,
        scale: 1 / Math.sqrt(W / H),
        visibility: { isFull: true },
      },
      arithmetic,
    ),
  );
  const mixed = out.set('outProj', 'linear', await biased(attended, 'self_attn.out_proj'));
  const middle = out.set('attentionResidual', 'add', add(hidden, mixed, W));
  const again = out.set('layerNorm2', 'norm', await normOf(middle, 'layer_norm2'));
  const inner = out.set('fc1', 'linear', await biased(again, 'mlp.fc1'));
  const active = out.set('quickGelu', 'gated', quickGelu(inner, inner.length / (hidden.length / W), arithmetic));
  const mlp = out.set('fc2', 'linear', await biased(active, 'mlp.fc2'));
  out.set('hidden', 'add', add(middle, mlp, W));
  return out;
}

export const visionPrefix = 'model.vision_embed_tokens';
export const tower = `${visionPrefix}.img_processor.vision_model`;

/** Rows of several results, one below the other. */
export function stacked(parts: readonly Defined[]): Defined {
  const width = parts[0]!.width;
  const result = allocate(parts.reduce((sum, { exact }) => sum + exact.length, 0) / width, width);
  let at = 0;
  for (const { exact, budget } of parts) {
    result.exact.set(exact, at);
    result.budget.set(budget, at);
    at += exact.length;
  }
  return result;
}

/** Columns in another order. */
function pick({ exact, budget, width }: Defined, newWidth: number, from: (column: number) => number): Defined {
  const rows = exact.length / width;
  const result = allocate(rows, newWidth);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < newWidth; column++) {
      const source = row * width + from(column);
      result.exact[row * newWidth + column] = exact[source]!;
      result.budget[row * newWidth + column] = budget[source]!;
    }
  }
  return result;
}

function beside(...parts: readonly Defined[]): Defined {
  const width = parts.reduce((sum, part) => sum + part.width, 0);
  const rows = parts[0]!.exact.length / parts[0]!.width;
  const result = allocate(rows, width);
  let start = 0;
  for (const part of parts) {
    for (let row = 0; row < rows; row++) {
      const from = row * part.width;
      result.exact.set(part.exact.subarray(from, from + part.width), row * width + start);
      result.budget.set(part.budget.subarray(from, from + part.width), row * width + start);
    }
    start += part.width;
  }
  return result;
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const result = new Float32Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}
