import type { WeightFormat } from '@phiblocks/tensor';
import { describe, expect, it } from 'vitest';
import { rowSizeInBytes } from '../row-size.ts';
import { chooseFormat, type RecipeName } from './choose-format.ts';
import { tensorRole } from './tensor-role.ts';

/** Phi-3-mini by its GGUF names. */
function phi3Mini(): { name: string; shape: number[]; layer?: number }[] {
  const [hidden, intermediate, vocabulary] = [3072, 8192, 32064];
  const layers = Array.from({ length: 32 }, (_, layer) =>
    (
      [
        ['attn_norm', [hidden]],
        ['attn_qkv', [3 * hidden, hidden]],
        ['attn_output', [hidden, hidden]],
        ['ffn_norm', [hidden]],
        ['ffn_up', [2 * intermediate, hidden]],
        ['ffn_down', [hidden, intermediate]],
      ] as [string, number[]][]
    ).map(([name, shape]) => ({ name: `blk.${layer}.${name}.weight`, shape, layer })),
  ).flat();
  return [
    { name: 'token_embd.weight', shape: [vocabulary, hidden] },
    ...layers,
    { name: 'output_norm.weight', shape: [hidden] },
    { name: 'output.weight', shape: [vocabulary, hidden] },
  ];
}

function sizeInGigabytes(recipe: RecipeName): number {
  let size = 0;
  for (const { name, shape, layer } of phi3Mini()) {
    const { format } = chooseFormat(recipe, name, shape, layer, 32);
    const columns = shape.at(-1)!;
    size += (shape.length === 1 ? 1 : shape[0]!) * rowSizeInBytes(format, columns);
  }
  return size / 1e9;
}

describe('llama.cpp’s mixtures for fused tensors', () => {
  it.each([
    ['F16', 7.643],
    ['Q4_K_M', 2.392],
    ['Q8_0', 4.06],
    ['Q6_K', 3.135],
    ['Q5_K_M', 2.815],
    ['Q5_K_S', 2.641],
    ['Q5_0', 2.641],
    ['Q4_1', 2.408],
    ['Q4_K_S', 2.188],
    ['Q4_0', 2.175],
  ] as const)('%s makes Phi-3-mini %d GB', (recipe, expected) => {
    // The figures, which agree with the published files, are rounded to the megabyte.
    expect(Math.abs(sizeInGigabytes(recipe) - expected)).toBeLessThanOrEqual(0.0006);
  });

  it.each([
    // embedding, head, attention input, attention output, up
    ['Q4_K_S', ['Q4_K', 'Q6_K', 'Q4_K', 'Q4_K', 'Q4_K']],
    ['Q4_K_M', ['Q4_K', 'Q6_K', 'Q5_K', 'Q4_K', 'Q4_K']],
    ['Q5_K_M', ['Q5_K', 'Q6_K', 'Q6_K', 'Q5_K', 'Q5_K']],
    ['Q5_K_S', ['Q5_K', 'Q6_K', 'Q5_K', 'Q5_K', 'Q5_K']],
    ['Q4_0', ['Q4_0', 'Q6_K', 'Q4_0', 'Q4_0', 'Q4_0']],
    ['Q8_0', ['Q8_0', 'Q8_0', 'Q8_0', 'Q8_0', 'Q8_0']],
    ['F16', ['F16', 'F16', 'F16', 'F16', 'F16']],
  ] as [RecipeName, WeightFormat[]][])('%s, in both spellings', (recipe, expected) => {
    const spellings = [
      ['token_embd', 'output', 'blk.9.attn_qkv', 'blk.9.attn_output', 'blk.9.ffn_up'],
      [
        'model.embed_tokens',
        'lm_head',
        'model.layers.9.self_attn.qkv_proj',
        'model.layers.9.self_attn.o_proj',
        'model.layers.9.mlp.gate_up_proj',
      ],
    ];
    for (const names of spellings) {
      expect(names.map((name) => chooseFormat(recipe, `${name}.weight`, [512, 512], 9, 32).format)).toEqual(expected);
    }
  });

  it('down projections by layer', () => {
    const down = (recipe: RecipeName, layers: number) =>
      Array.from({ length: layers }, (_, layer) => {
        return chooseFormat(recipe, `blk.${layer}.ffn_down.weight`, [256, 256], layer, layers).format;
      });
    const more = [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31];
    const expected = (special: number[], higher: string, base: string) =>
      Array.from({ length: 32 }, (_, layer) => (special.includes(layer) ? higher : base));
    expect(down('Q4_K_M', 32)).toEqual(expected(more, 'Q6_K', 'Q4_K'));
    expect(down('Q5_K_M', 32)).toEqual(expected(more, 'Q6_K', 'Q5_K'));
    expect(down('Q4_K_S', 32)).toEqual(expected([0, 1, 2, 3], 'Q5_K', 'Q4_K'));
    // Divisions of whole numbers: 12/8 is 1, 7 · 12/8 is 10.
    expect(down('Q4_K_M', 12).flatMap((format, layer) => (format === 'Q6_K' ? [layer] : []))).toEqual([
      0, 3, 6, 9, 10, 11,
    ]);
    // Fewer than eight layers: n/8 is 0, 7n/8 is 5.
    expect(down('Q4_K_M', 6)).toEqual(['Q4_K', 'Q4_K', 'Q6_K', 'Q4_K', 'Q4_K', 'Q6_K']);
  });

  it('vectors, factor lists and routers stay float32', () => {
    for (const recipe of ['Q4_0', 'Q4_K_M', 'F16'] as const) {
      for (const [name, shape] of [
        ['blk.0.attn_norm.weight', [3072]],
        ['rope_factors_long.weight', [48]],
        ['blk.0.attn_qkv.bias', [9216]],
        ['blk.0.ffn_gate_inp.weight', [16, 4096]],
        ['model.layers.0.block_sparse_moe.gate.weight', [16, 4096]],
        ['scalar', []],
      ] as [string, number[]][]) {
        expect(chooseFormat(recipe, name, shape, 0, 32).format, name).toBe('F32');
      }
    }
  });
});

describe('rows that blocks do not divide', () => {
  it.each([
    ['Q4_K_S', 288, 'Q5_0'],
    ['Q5_K_S', 288, 'Q5_1'],
    ['Q6_K', 288, 'Q8_0'],
    ['Q4_K_S', 100, 'F16'],
    ['Q8_0', 100, 'F16'],
    ['Q4_0', 100, 'F16'],
  ] as const)('%s with rows of %d becomes %s, and says so', (recipe, columns, format) => {
    const choice = chooseFormat(recipe, 'blk.0.ffn_up.weight', [64, columns], 0, 4);
    expect(choice.format).toBe(format);
    expect(choice.tensor).toBe('blk.0.ffn_up.weight');
    expect(choice.reason).toBe(
      `rows of ${columns} weights are no whole number of ${choice.wanted} blocks of ` +
        `${choice.wanted.endsWith('K') ? 256 : 32}`,
    );
  });

  it('says nothing where nothing changed', () => {
    expect(chooseFormat('Q4_K_S', 'token_embd.weight', [64, 512])).toEqual({
      tensor: 'token_embd.weight',
      format: 'Q4_K',
      wanted: 'Q4_K',
    });
  });
});

describe('recipes of one’s own', () => {
  const recipe = {
    default: 'Q4_0',
    roles: { embedding: 'Q8_0', head: 'Q6_K', feedForwardDown: 'Q5_0' },
    tensors: new Map<string, WeightFormat>([
      ['blk.3.ffn_down.weight', 'F16'],
      ['output_norm.weight', 'F16'],
    ]),
  } as const;
  const choose = (name: string, shape = [64, 256]) => chooseFormat(recipe, name, shape).format;

  it('tensors come before roles, roles before the default', () => {
    expect(choose('blk.3.ffn_down.weight')).toBe('F16');
    expect(choose('blk.2.ffn_down.weight')).toBe('Q5_0');
    expect(choose('model.embed_tokens.weight')).toBe('Q8_0');
    expect(choose('blk.2.ffn_up.weight')).toBe('Q4_0');
    expect(choose('something.else')).toBe('Q4_0');
    expect(choose('blk.0.ffn_gate_inp.weight')).toBe('F32');
    expect(choose('blk.0.attn_norm.weight', [256])).toBe('F32');
    expect(choose('output_norm.weight', [256])).toBe('F16');
    expect(choose('lm_head.weight', [64, 288])).toBe('Q8_0');
  });

  it('unknown fields, roles and formats are errors', () => {
    expect(() => chooseFormat({ default: 'Q4_0', role: {} } as never, 'w', [1, 32])).toThrow(
      /^OPTION_UNKNOWN chooseFormat\(role\)/,
    );
    expect(() => chooseFormat({ default: 'Q4_0', roles: { down: 'Q8_0' } } as never, 'w', [1, 32])).toThrow(
      /^OPTION_UNKNOWN chooseFormat\(down\)/,
    );
    expect(() => chooseFormat({ default: 'Q2_K' } as never, 'w', [1, 32])).toThrow(/^ARGUMENT/);
  });
});

describe('errors', () => {
  it('an unknown recipe', () => {
    expect(() => chooseFormat('Q4_K_L' as RecipeName, 'w', [1, 32])).toThrow(
      /^ARGUMENT chooseFormat\(recipe\): expected F32, F16/,
    );
  });

  it('shapes that are none', () => {
    for (const columns of [Number.NaN, 1.5, -32, Number.POSITIVE_INFINITY]) {
      expect(() => chooseFormat('Q4_0', 'w', [2, columns])).toThrow(/^SHAPE/);
    }
  });

  it('a down projection without its layer, where layers differ', () => {
    const name = 'blk.0.ffn_down.weight';
    expect(() => chooseFormat('Q4_K_M', name, [256, 256])).toThrow(
      'ARGUMENT chooseFormat(numLayers): expected a whole number from 1 up, because Q4_K_M tells layers apart, got undefined',
    );
    for (const layer of [undefined, -1, 4, 0.5]) {
      expect(() => chooseFormat('Q4_K_S', name, [256, 256], layer, 4)).toThrow(/^ARGUMENT chooseFormat\(layerIndex\)/);
    }
    expect(chooseFormat('Q4_0', name, [256, 256]).format).toBe('Q4_0');
  });
});

describe('tensorRole', () => {
  it.each([
    ['token_embd.weight', 'embedding'],
    ['model.embed_tokens.weight', 'embedding'],
    ['output.weight', 'head'],
    ['lm_head.weight', 'head'],
    ['blk.0.attn_output.weight', 'attentionOutput'],
    ['model.layers.0.self_attn.dense.weight', 'attentionOutput'],
    ['model.layers.0.self_attn.query_key_value.weight', 'attentionInput'],
    ['model.layers.0.self_attn.v_proj.weight', 'attentionInput'],
    ['model.layers.0.block_sparse_moe.experts.3.w1.weight', 'feedForwardUp'],
    ['model.layers.0.block_sparse_moe.experts.3.w2.weight', 'feedForwardDown'],
    ['model.layers.0.block_sparse_moe.experts.3.w3.weight', 'feedForwardUp'],
    ['blk.0.ffn_down_exps.weight', 'feedForwardDown'],
    ['blk.0.ffn_gate_inp.weight', 'router'],
    ['model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0.self_attn.q_proj.weight', 'other'],
    ['model.layers.0.self_attn.dense.bias', 'other'],
    ['output_norm.weight', 'other'],
    ['__proto__', 'other'],
    ['', 'other'],
  ] as const)('%s is %s', (name, role) => expect(tensorRole(name)).toBe(role));
});
