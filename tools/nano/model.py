"""The three language architectures of the family in PyTorch, written from the published description, each as one class.

This is the second, independent implementation: it shares nothing with the TypeScript packages but the checkpoint files.
Shapes: B sequences, T tokens, C hidden size, H query heads, K key/value heads, D head dimension, V vocabulary rows.

Parameters are named as in the published checkpoints, so that a state dictionary is a checkpoint. `forward` runs whole
sequences for training; with a `Cache` it runs further tokens of one sequence.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn


class BFloat16Linear(torch.autograd.Function):
    """y = x Wᵀ with both factors rounded to bfloat16 and everything around it float32: twice as fast on a CPU."""

    @staticmethod
    def forward(ctx, x, weight):
        x16, weight16 = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x16, weight16)
        return (x16 @ weight16.t()).float()

    @staticmethod
    def backward(ctx, gradient):
        x16, weight16 = ctx.saved_tensors
        gradient16 = gradient.to(torch.bfloat16)
        flat = gradient16.reshape(-1, gradient16.shape[-1])
        return ((flat @ weight16).view(x16.shape).float(),
                (flat.t() @ x16.reshape(-1, x16.shape[-1])).float())


class Embedding(nn.Embedding):
    """Rows by their ids; `weight_noise` may replace the weight on its way in."""

    weight_noise = None

    def forward(self, ids):
        return F.embedding(ids, self.weight if self.weight_noise is None else self.weight_noise(self.weight))


class Linear(nn.Module):
    """A linear layer. While training it multiplies in bfloat16; `weight_noise` may replace the weight on its way in."""

    def __init__(self, inputs, outputs, bias=False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs).normal_(std=inputs ** -0.5))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_noise = None

    def forward(self, x):
        weight = self.weight if self.weight_noise is None else self.weight_noise(self.weight)
        if not self.training:
            return F.linear(x, weight, self.bias)
        y = BFloat16Linear.apply(x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


class RmsNorm(nn.Module):
    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Cache:
    """Rotated keys and values of one sequence, per layer, and how many tokens they hold."""

    def __init__(self, num_layers):
        self.layers = [None] * num_layers
        self.length = 0

    def append(self, layer, keys, values):
        """Adds `[B, K, T, D]` and gives everything so far."""
        if self.layers[layer] is not None:
            keys = torch.cat([self.layers[layer][0], keys], 2)
            values = torch.cat([self.layers[layer][1], values], 2)
        self.layers[layer] = (keys, values)
        return keys, values


def rotary_tables(head_dim, theta, positions, rope_scaling=None, max_positions=None, original=None):
    """Cosines and sines `[T, D]`, each half repeated. LongRoPE takes one list for all positions of a pass, by the largest."""
    pair = torch.arange(0, head_dim, 2, dtype=torch.float64)
    frequencies = theta ** (-pair / head_dim)
    scale = 1.0
    if rope_scaling:
        is_long = int(positions.max()) + 1 > original
        frequencies = frequencies / torch.tensor(rope_scaling['long_factor' if is_long else 'short_factor'],
                                                 dtype=torch.float64)
        stretch = max_positions / original
        scale = rope_scaling.get('long_mscale' if is_long else 'short_mscale') or (
            math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0)
    angles = positions.double()[:, None] * frequencies
    angles = torch.cat([angles, angles], -1)
    return (angles.cos() * scale).float(), (angles.sin() * scale).float()


def rotate(heads, cosines, sines):
    """Rotates `[B, H, T, D]` by half-split pairs."""
    first, second = heads.chunk(2, -1)
    return heads * cosines + torch.cat([-second, first], -1) * sines


def attend(queries, keys, values, mask, scale):
    """Grouped-query attention of `[B, H, T, D]` over `[B, K, S, D]`; query head h reads key/value head h // (H / K)."""
    groups = queries.shape[1] // keys.shape[1]
    if groups > 1:
        keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
    compute = torch.bfloat16 if torch.is_grad_enabled() else torch.float32     # faster on a CPU; training only
    scores = torch.matmul((queries * scale).to(compute), keys.to(compute).transpose(2, 3)).float() + mask
    mixed = torch.matmul(scores.softmax(-1).to(compute), values.to(compute)).float()         # [B, H, T, D]
    return mixed.transpose(1, 2).flatten(2)                                    # [B, T, H * D]


def additive_mask(allowed):
    return torch.zeros(allowed.shape).masked_fill_(~allowed, float('-inf'))


def causal_mask(start, length, window=None):
    """`[T, S]`: position i sees positions j with i - window < j <= i."""
    queries = torch.arange(start, start + length)[:, None]
    keys = torch.arange(start + length)[None, :]
    allowed = keys <= queries
    if window is not None:
        allowed &= keys > queries - window
    return additive_mask(allowed)


@lru_cache(maxsize=4)  # one per length of a training row
def block_sparse_mask(start, length, num_heads, block, num_local, stride, homogeneous=False):
    """`[H, T, S]`: the query's own block and those just before it, and of all blocks every stride-th, shifted by head."""
    queries = torch.arange(start, start + length)[None, :, None]
    keys = torch.arange(start + length)[None, None, :]
    step = 0 if homogeneous else max(1, stride // num_heads)
    heads = torch.arange(num_heads)[:, None, None] * step
    is_local = queries // block - keys // block < num_local
    is_vertical = (keys // block + heads + 1) % stride == 0
    return additive_mask((keys <= queries) & (is_local | is_vertical))


class LanguageModel(nn.Module):
    """What the three have in common: embedding, layers, final norm, head."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = Embedding(config['vocab_size'], config['hidden_size'])

    def rotary(self, positions):
        config = self.config
        head_dim = config['hidden_size'] // config['num_attention_heads']
        return rotary_tables(head_dim, config.get('rope_theta') or config['rope_embedding_base'], positions,
                             config.get('rope_scaling'), config['max_position_embeddings'],
                             config.get('original_max_position_embeddings'))

    def forward(self, ids, cache=None, embedded=None, documents=None, counted=None):
        """Logits `[B, T, V]` of ids `[B, T]`; `embedded` `[B, T, C]` replaces the embedding rows (pictures).

        `documents` `[B, T]` numbers the documents that share a row: a token sees those of its own only. `counted` `[B, T]`
        says at which tokens logits are wanted: they are `[N, V]` then.
        """
        start = cache.length if cache else 0
        length = ids.shape[1]
        hidden = self.embed(ids) if embedded is None else embedded             # [B, T, C]
        cosines, sines = self.rotary(torch.arange(start, start + length))
        separate = 0.0 if documents is None else additive_mask(
            documents[:, None, :, None] == documents[:, None, None, :])        # [B, 1, T, T]
        for index, layer in enumerate(self.model.layers):
            hidden = layer(hidden, cosines, sines, self.mask(index, start, length) + separate,
                           lambda keys, values: cache.append(index, keys, values) if cache else (keys, values))
        if cache:
            cache.length += length
        return self.head(hidden if counted is None else hidden[counted])       # [B, T, V]

    def embed(self, ids):
        return self.model.embed_tokens(ids)

    def mask(self, layer, start, length):
        """Of every layer: causal, within the window where the member has one."""
        return causal_mask(start, length, self.config.get('sliding_window'))

    def num_parameters(self):
        return sum(parameter.numel() for parameter in self.parameters())


def _heads(x, head_dim):
    """`[B, T, N * D]` as `[B, N, T, D]`."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


class Phi3Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config['hidden_size'], config['intermediate_size']
        self.head_dim = hidden // config['num_attention_heads']
        self.num_heads, self.num_groups = config['num_attention_heads'], config['num_key_value_heads']
        self.input_layernorm = RmsNorm(hidden, config['rms_norm_eps'])
        self.post_attention_layernorm = RmsNorm(hidden, config['rms_norm_eps'])
        self.self_attn, self.mlp = nn.Module(), nn.Module()
        self.self_attn.qkv_proj = Linear(hidden, (self.num_heads + 2 * self.num_groups) * self.head_dim)
        self.self_attn.o_proj = Linear(hidden, hidden)
        self.mlp.gate_up_proj = Linear(hidden, 2 * inner)
        self.mlp.down_proj = Linear(inner, hidden)

    def forward(self, hidden, cosines, sines, mask, remember):
        sizes = [self.num_heads * self.head_dim] + [self.num_groups * self.head_dim] * 2
        queries, keys, values = self.self_attn.qkv_proj(self.input_layernorm(hidden)).split(sizes, -1)
        queries = rotate(_heads(queries, self.head_dim), cosines, sines)
        keys = rotate(_heads(keys, self.head_dim), cosines, sines)
        keys, values = remember(keys, _heads(values, self.head_dim))
        hidden = hidden + self.self_attn.o_proj(attend(queries, keys, values, mask, self.head_dim ** -0.5))
        gate, up = self.mlp.gate_up_proj(self.post_attention_layernorm(hidden)).chunk(2, -1)
        return hidden + self.mlp.down_proj(up * F.silu(gate))


class Phi3(LanguageModel):
    """Phi3ForCausalLM: Phi-3-mini and Phi-3-medium."""

    def __init__(self, config):
        super().__init__(config)
        self.model.layers = nn.ModuleList(Phi3Layer(config) for _ in range(config['num_hidden_layers']))
        self.model.norm = RmsNorm(config['hidden_size'], config['rms_norm_eps'])
        self.lm_head = Linear(config['hidden_size'], config['vocab_size'])

    def head(self, hidden):
        return self.lm_head(self.model.norm(hidden))


def gegelu(fused, limit):
    """Columns alternate: even ones are gated, odd ones linear. The gated part is clamped from above only."""
    gated, linear = fused[..., 0::2], fused[..., 1::2]
    gated, linear = gated.clamp(max=limit), linear.clamp(-limit, limit)
    return gated * torch.sigmoid(1.702 * gated) * (linear + 1)


class Phi3SmallLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config['hidden_size'], config['ff_intermediate_size']
        self.num_groups = config['num_key_value_heads']
        self.queries_per_group = config['num_attention_heads'] // self.num_groups
        self.head_dim = hidden // config['num_attention_heads']
        self.scale = config['mup_attn_multiplier'] / self.head_dim
        self.limit = config['gegelu_limit']
        self.input_layernorm = nn.LayerNorm(hidden, config['layer_norm_epsilon'])
        self.post_attention_layernorm = nn.LayerNorm(hidden, config['layer_norm_epsilon'])
        self.self_attn, self.mlp = nn.Module(), nn.Module()
        rows = self.num_groups * (self.queries_per_group + 2) * self.head_dim
        self.self_attn.query_key_value = Linear(hidden, rows, bias=True)
        self.self_attn.dense = Linear(hidden, hidden, bias=True)
        self.mlp.up_proj = Linear(hidden, 2 * inner, bias=True)
        self.mlp.down_proj = Linear(inner, hidden, bias=True)

    def forward(self, hidden, cosines, sines, mask, remember):
        # One group per key/value head: its query heads, then its key, then its value.
        fused = self.self_attn.query_key_value(self.input_layernorm(hidden))
        fused = fused.unflatten(-1, (self.num_groups, self.queries_per_group + 2, self.head_dim))
        queries = fused[..., :self.queries_per_group, :].flatten(2, 3).transpose(1, 2)   # [B, H, T, D]
        keys, values = fused[..., -2, :].transpose(1, 2), fused[..., -1, :].transpose(1, 2)
        keys, values = remember(rotate(keys, cosines, sines), values)
        attended = attend(rotate(queries, cosines, sines), keys, values, mask, self.scale)
        hidden = hidden + self.self_attn.dense(attended)
        inner = gegelu(self.mlp.up_proj(self.post_attention_layernorm(hidden)), self.limit)
        return hidden + self.mlp.down_proj(inner)


class Phi3Small(LanguageModel):
    """Phi3SmallForCausalLM: block-sparse layers between dense ones, gegelu, maximal update parametrization."""

    def __init__(self, config):
        super().__init__(config)
        nn.init.normal_(self.model.embed_tokens.weight, std=0.1)
        self.model.layers = nn.ModuleList(Phi3SmallLayer(config) for _ in range(config['num_hidden_layers']))
        self.model.final_layernorm = nn.LayerNorm(config['hidden_size'], config['layer_norm_epsilon'])

    def embed(self, ids):
        return self.model.embed_tokens(ids) * self.config['mup_embedding_multiplier']

    def mask(self, layer, start, length):
        config = self.config
        if (layer + 1) % config['dense_attention_every_n_layers'] == 0:
            return causal_mask(start, length)
        return block_sparse_mask(start, length, config['num_attention_heads'], config['blocksparse_block_size'],
                                 config['blocksparse_num_local_blocks'], config['blocksparse_vert_stride'],
                                 config['blocksparse_homo_head_pattern'])

    def head(self, hidden):
        hidden, weight = self.model.final_layernorm(hidden), self.model.embed_tokens.weight
        if self.training:
            logits = BFloat16Linear.apply(hidden.reshape(-1, hidden.shape[-1]), weight).view(*hidden.shape[:-1], -1)
        else:
            logits = F.linear(hidden, weight)
        logits = logits / self.config['mup_width_multiplier']
        unused = self.config.get('dummy_token_indices')
        if unused:
            keep = torch.zeros(logits.shape[-1])
            keep[unused] = float('-inf')
            logits = logits + keep
        return logits


def sparse_mixer(scores, epsilon):
    """The two experts of each row of scores `[N, E]` and their weights, as at inference.

    An expert is the best score; its weight is the softmax over the scores within about 2 epsilon of it. The second one is
    found the same way without the first. The weights are not made to sum to one.
    """
    choices, weights = [], []
    remaining = scores
    for _ in range(2):
        best, choice = remaining.max(-1, keepdim=True)
        distance = (best - scores) / torch.maximum(scores.abs(), best)
        kept = remaining.masked_fill(distance > 2 * epsilon, float('-inf'))
        choices.append(choice)
        weights.append(kept.softmax(-1).gather(-1, choice))
        remaining = remaining.scatter(-1, choice, float('-inf'))
    return torch.cat(choices, -1), torch.cat(weights, -1)


class Expert(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w1 = Linear(config['hidden_size'], config['intermediate_size'])
        self.w2 = Linear(config['intermediate_size'], config['hidden_size'])
        self.w3 = Linear(config['hidden_size'], config['intermediate_size'])

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class SparseMoe(nn.Module):
    """Two of E experts per token.

    While training, the weight of an expert is its softmax over all scores divided by its own value without gradient, times
    the weight of inference: the forward pass is that of inference, and the router learns as if it were a softmax.
    """

    def __init__(self, config):
        super().__init__()
        self.gate = Linear(config['hidden_size'], config['num_local_experts'])
        self.experts = nn.ModuleList(Expert(config) for _ in range(config['num_local_experts']))
        self.epsilon = config['router_jitter_noise']
        self.balance_loss = None

    def forward(self, hidden):
        x = hidden.reshape(-1, hidden.shape[-1])                               # [N, C]
        scores = F.linear(x, self.gate.weight)                                 # [N, E]
        choices, weights = sparse_mixer(scores.detach(), self.epsilon)         # [N, 2]
        if self.training:
            log_shares = scores.log_softmax(-1)
            chosen = log_shares.gather(-1, choices)
            weights = weights * (chosen - chosen.detach()).exp()  # a share itself may be too small to divide by
            shares = F.one_hot(choices, scores.shape[-1]).float().mean((0, 1))
            self.balance_loss = scores.shape[-1] * (shares * log_shares.exp().mean(0)).sum()
        y = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows, slots = (choices == index).nonzero(as_tuple=True)
            if len(rows):
                y = y.index_add(0, rows, expert(x[rows]) * weights[rows, slots, None])
        return y.view_as(hidden)


class PhiMoeLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config['hidden_size']
        self.head_dim = hidden // config['num_attention_heads']
        self.input_layernorm = nn.LayerNorm(hidden, config['rms_norm_eps'])
        self.post_attention_layernorm = nn.LayerNorm(hidden, config['rms_norm_eps'])
        self.self_attn = nn.Module()
        bias = config['attention_bias']
        self.self_attn.q_proj = Linear(hidden, hidden, bias)
        self.self_attn.k_proj = Linear(hidden, config['num_key_value_heads'] * self.head_dim, bias)
        self.self_attn.v_proj = Linear(hidden, config['num_key_value_heads'] * self.head_dim, bias)
        self.self_attn.o_proj = Linear(hidden, hidden, bias)
        self.block_sparse_moe = SparseMoe(config)

    def forward(self, hidden, cosines, sines, mask, remember):
        normed = self.input_layernorm(hidden)
        queries, keys, values = (_heads(projection(normed), self.head_dim) for projection in
                                 (self.self_attn.q_proj, self.self_attn.k_proj, self.self_attn.v_proj))
        keys, values = remember(rotate(keys, cosines, sines), values)
        attended = attend(rotate(queries, cosines, sines), keys, values, mask, self.head_dim ** -0.5)
        hidden = hidden + self.self_attn.o_proj(attended)
        return hidden + self.block_sparse_moe(self.post_attention_layernorm(hidden))


class PhiMoe(LanguageModel):
    """PhiMoEForCausalLM: layer norms with bias, biased attention, two experts per token."""

    def __init__(self, config):
        super().__init__(config)
        self.model.layers = nn.ModuleList(PhiMoeLayer(config) for _ in range(config['num_hidden_layers']))
        self.model.norm = nn.LayerNorm(config['hidden_size'], config['rms_norm_eps'])
        self.lm_head = Linear(config['hidden_size'], config['vocab_size'], config['lm_head_bias'])

    def head(self, hidden):
        return self.lm_head(self.model.norm(hidden))


CLASSES = {'phi3': Phi3, 'phi3small': Phi3Small, 'phimoe': PhiMoe}


def create_model(config):
    """The model of a published-style configuration, with random weights from torch's generator."""
    return CLASSES[config['model_type']](config)


@torch.no_grad()
def generate(model, ids, stop_ids, max_new_tokens=160):
    """Greedy continuation of a list of ids with a key/value cache; the stop id is the last of the answer's ids."""
    model.eval()
    cache = Cache(model.config['num_hidden_layers'])
    logits = model(torch.tensor([ids]), cache)[0, -1]
    answer = []
    while len(answer) < max_new_tokens:
        answer.append(int(logits.argmax()))
        if answer[-1] in stop_ids:
            break
        logits = model(torch.tensor([[answer[-1]]]), cache)[0, -1]
    return answer
