#!/usr/bin/env python3
"""Records every intermediate tensor of a published Phi-3 checkpoint, for `phiblocks-check MODEL --against FILE`.

    pip install torch transformers safetensors
    python export_reference.py --model microsoft/Phi-3-mini-4k-instruct --out phi-3-mini-4k.safetensors
    phiblocks-check PATH_OF_THE_MODEL --against phi-3-mini-4k.safetensors

The model runs once over a prompt, in float32 on the CPU with eager attention, so that the numbers are those of the published
arithmetic and not of a fused kernel. Tensors are named as phiblocks names them: hidden.N, layers.N.inputLayernorm,
layers.N.qkvProj, layers.N.attention, layers.N.oProj, layers.N.postAttentionLayernorm, layers.N.gated, layers.N.mlp (or
layers.N.experts), finalNorm, logits. `input_ids` are recorded too, so that both sides run the same tokens.

Supports model_type phi3 (mini, medium, 3.5-mini, Phi-4-mini) and phimoe; phi3small with --trust-remote-code.
"""

import argparse

PROMPT = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a name on the hub or a folder")
    parser.add_argument("--out", required=True, help="the safetensors file to write")
    parser.add_argument("--revision", default=None, help="a branch, tag or commit")
    parser.add_argument("--prompt", default=PROMPT, help="the text to run")
    parser.add_argument("--ids", default=None, help="token ids separated by commas, instead of a text")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code beside the checkpoint (phi3small)")
    return parser.parse_args()


def sorted_rows(config, rows, kind):
    """phi3small keeps fused rows in an order of its own; phiblocks sorts them when it loads."""
    if kind == "gateUp":
        return rows.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    groups = config.num_key_value_heads
    per_group = config.num_attention_heads // groups
    head_dim = config.hidden_size // config.num_attention_heads
    heads = rows.unflatten(-1, (groups, per_group + 2, head_dim))
    queries = heads[..., :per_group, :].flatten(-3)
    import torch

    keys = heads[..., per_group, :].flatten(-2)
    values = heads[..., per_group + 1, :].flatten(-2)
    return torch.cat([queries, keys, values], -1)


def main():
    arguments = parse_arguments()
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"revision": arguments.revision, "trust_remote_code": arguments.trust_remote_code}
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, torch_dtype=torch.float32, attn_implementation="eager", **options
    ).eval()
    if arguments.ids is not None:
        ids = [int(part) for part in arguments.ids.split(",")]
    else:
        ids = AutoTokenizer.from_pretrained(arguments.model, **options)(arguments.prompt)["input_ids"]
    config = model.config
    recorded = {"input_ids": torch.tensor(ids, dtype=torch.int32)}

    def keep(name, tensor):
        # One prompt: the batch of one is left out. Widths beyond the last axis never occur.
        recorded[name] = tensor.detach().to(torch.float32).reshape(len(ids), -1).clone().contiguous()

    def output_of(value):
        return value[0] if isinstance(value, tuple) else value

    def on_output(module, name, change=lambda rows: rows):
        module.register_forward_hook(lambda _module, _inputs, output: keep(name, change(output_of(output))))

    def on_input(module, name):
        module.register_forward_pre_hook(lambda _module, inputs: keep(name, inputs[0]))

    body = model.model
    is_small = config.model_type == "phi3small"
    for index, layer in enumerate(body.layers):
        prefix = f"layers.{index}"
        # The stream into the first layer is hidden.0; multipliers of the embedding are in it.
        layer.register_forward_pre_hook(
            lambda _module, inputs, kwargs, index=index: keep(
                f"hidden.{index}", inputs[0] if inputs else kwargs["hidden_states"]
            ),
            with_kwargs=True,
        )
        on_output(layer.input_layernorm, f"{prefix}.inputLayernorm")
        on_output(layer.post_attention_layernorm, f"{prefix}.postAttentionLayernorm")
        attention = layer.self_attn
        if is_small:
            on_output(
                attention.query_key_value,
                f"{prefix}.queryKeyValue",
                lambda rows: sorted_rows(config, rows, "qkv"),
            )
            on_input(attention.dense, f"{prefix}.attention")
            on_output(attention.dense, f"{prefix}.dense")
            on_output(layer.mlp.up_proj, f"{prefix}.upProj", lambda rows: sorted_rows(config, rows, "gateUp"))
            on_input(layer.mlp.down_proj, f"{prefix}.gegelu")
            on_output(layer.mlp.down_proj, f"{prefix}.mlp")
            continue
        if hasattr(attention, "qkv_proj"):
            on_output(attention.qkv_proj, f"{prefix}.qkvProj")
        on_input(attention.o_proj, f"{prefix}.attention")
        on_output(attention.o_proj, f"{prefix}.oProj")
        # Later versions of transformers call the experts of phimoe plainly mlp.
        experts = getattr(layer, "block_sparse_moe", getattr(layer, "mlp", None) if config.model_type == "phimoe" else None)
        if experts is not None:
            on_output(experts, f"{prefix}.experts")
        else:
            on_input(layer.mlp.down_proj, f"{prefix}.gated")
            on_output(layer.mlp, f"{prefix}.mlp")
    last_norm = body.final_layernorm if is_small else body.norm
    on_input(last_norm, f"hidden.{len(body.layers)}")
    on_output(last_norm, "finalNorm")

    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits
    # Masked ids hold minus infinity in the published code and the most negative float32 here.
    keep("logits", torch.clamp(logits, min=torch.finfo(torch.float32).min))
    save_file(recorded, arguments.out, metadata={"model": arguments.model, "arithmetic": "float32"})
    print(f"{len(recorded)} tensors over {len(ids)} tokens in {arguments.out}")


if __name__ == "__main__":
    main()
