import { forgeGguf, ggml } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { createCountingSource } from '../../test/counting-source.ts';
import { openGguf } from './open-gguf.ts';
import { checkpointTensorName, ggufTensorName } from './tensor-names.ts';
import { withCheckpointNames } from './with-checkpoint-names.ts';

// The names as llama.cpp writes them: `gguf-py/gguf/tensor_mapping.py`.
const pairs: [checkpoint: string, gguf: string][] = [
  ['model.embed_tokens.weight', 'token_embd.weight'],
  ['model.norm.weight', 'output_norm.weight'],
  ['model.norm.bias', 'output_norm.bias'],
  ['lm_head.weight', 'output.weight'],
  ['lm_head.bias', 'output.bias'],
  ['model.layers.0.input_layernorm.weight', 'blk.0.attn_norm.weight'],
  ['model.layers.31.post_attention_layernorm.bias', 'blk.31.ffn_norm.bias'],
  ['model.layers.1.self_attn.qkv_proj.weight', 'blk.1.attn_qkv.weight'],
  ['model.layers.1.self_attn.q_proj.bias', 'blk.1.attn_q.bias'],
  ['model.layers.1.self_attn.k_proj.weight', 'blk.1.attn_k.weight'],
  ['model.layers.1.self_attn.v_proj.weight', 'blk.1.attn_v.weight'],
  ['model.layers.1.self_attn.o_proj.weight', 'blk.1.attn_output.weight'],
  ['model.layers.10.mlp.gate_up_proj.weight', 'blk.10.ffn_up.weight'],
  ['model.layers.10.mlp.down_proj.weight', 'blk.10.ffn_down.weight'],
  ['model.layers.2.block_sparse_moe.gate.weight', 'blk.2.ffn_gate_inp.weight'],
];

describe('names', () => {
  it.each(pairs)('%s is %s', (checkpoint, gguf) => {
    expect(ggufTensorName(checkpoint)).toBe(gguf);
    expect(checkpointTensorName(gguf)).toBe(checkpoint);
    expect(checkpointTensorName(gguf, 0)).toBeUndefined();
  });

  it.each([
    ['w1', 'ffn_gate_exps'],
    ['w2', 'ffn_down_exps'],
    ['w3', 'ffn_up_exps'],
  ])('expert weights %s are in %s', (checkpoint, gguf) => {
    const name = `model.layers.5.block_sparse_moe.experts.15.${checkpoint}.weight`;
    expect(ggufTensorName(name)).toBe(`blk.5.${gguf}.weight`);
    expect(checkpointTensorName(`blk.5.${gguf}.weight`, 15)).toBe(name);
    expect(checkpointTensorName(`blk.5.${gguf}.weight`)).toBeUndefined();
  });

  it.each([
    'model.layers.N.mlp.down_proj.weight',
    'model.layers.0.block_sparse_moe.experts.E.w1.weight',
    'model.layers.00.mlp.down_proj.weight',
    'model.layers.-1.mlp.down_proj.weight',
    'model.layers.12345.mlp.down_proj.weight',
    'model.layers.0.mlp.down_proj',
    'model.layers.0.self_attn.dense.weight',
    'model.vision_embed_tokens.sub_GN',
    'blk.0.ffn_up.weight',
    '__proto__',
    '',
  ])('%j has no GGUF name', (name) => {
    expect(ggufTensorName(name)).toBeUndefined();
  });

  it.each([
    'rope_factors_long.weight',
    'rope_factors_short.weight',
    'blk.N.ffn_up.weight',
    'lm_head.weight',
    '.weight',
  ])('%j has no checkpoint name', (name) => {
    expect(checkpointTensorName(name)).toBeUndefined();
    expect(checkpointTensorName(name, 0)).toBeUndefined();
  });
});

describe('withCheckpointNames', () => {
  it('gives tensors under their checkpoint names, and each expert as a matrix of its own', async () => {
    const experts = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
    const gguf = await openGguf(
      createCountingSource(
        forgeGguf({
          tensors: [
            { name: 'output.weight', shape: [2, 32], type: ggml.Q8_0, sizeInBytes: 68 },
            { name: 'rope_factors_long.weight', shape: [4], type: ggml.F32, sizeInBytes: 16 },
            {
              name: 'blk.0.ffn_up_exps.weight',
              shape: [2, 3, 4],
              type: ggml.F32,
              bytes: new Uint8Array(experts.buffer),
            },
          ],
        }),
      ),
    );
    const weights = withCheckpointNames(gguf);
    expect([...weights.tensors.keys()]).toEqual([
      'lm_head.weight',
      'model.layers.0.block_sparse_moe.experts.0.w3.weight',
      'model.layers.0.block_sparse_moe.experts.1.w3.weight',
    ]);
    expect((await weights.readMatrix('lm_head.weight')).format).toBe('Q8_0');
    const expert = await weights.readFloats('model.layers.0.block_sparse_moe.experts.1.w3.weight');
    expect(expert.shape).toEqual([3, 4]);
    expect(expert.data).toEqual(experts.subarray(12));
    await expect(weights.readBytes('output.weight')).rejects.toMatchObject({ code: 'TENSOR_NOT_FOUND' });
    await weights.close();
    await expect(gguf.readBytes('output.weight')).resolves.toBeDefined(); // the counting source stays readable
  });

  it('rejects experts that are no stack of matrices, or too many', async () => {
    for (const [shape, code] of [
      [[3, 4], 'GG_SHAPE'],
      [[2048, 1, 1], 'GG_LIMIT'],
    ] as const) {
      const tensors = [{ name: 'blk.0.ffn_up_exps.weight', shape, type: ggml.F32, sizeInBytes: 8192 }];
      const gguf = await openGguf(createCountingSource(forgeGguf({ tensors })));
      expect(() => withCheckpointNames(gguf)).toThrow(new RegExp(`^${code} withCheckpointNames`));
    }
  });
});
