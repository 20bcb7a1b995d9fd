"""The image side of Phi-3-vision in PyTorch, on top of the Phi3 of `model.py`: the second, independent implementation.

Modules are named so that `state_dict()` has the keys of the published checkpoints. Sources: the model code published with
microsoft/Phi-3-vision-128k-instruct; CLIP, arXiv:2103.00020.
Shape letters: B pictures, T tokens, C hidden size, W width of the tower, P patches of a crop.
"""

import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from model import Linear, Phi3, additive_mask, attend, causal_mask, rotate  # noqa: E402

CROP, PATCH = 336, 14
GRID = CROP // PATCH  # 24 x 24 patches
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


# --- the picture ---------------------------------------------------------------------------------------------------


def normalise(pixels):
    """`[..., h, w, 3]` bytes to `[..., 3, h, w]` floats."""
    scaled = pixels.float() / 255
    return ((scaled - torch.tensor(MEAN)) / torch.tensor(STD)).movedim(-1, -3)


def hd_transform(pixels, num_crops):
    """The picture `[h, w, 3]` as crops `[1 + hc * wc, 3, 336, 336]`, the global view first, and (hc, wc).

    Only for pictures that have the size the transform would give them: the pictures here are drawn so, and a second
    implementation of Pillow's resampling would show nothing about the model.
    """
    height, width = pixels.shape[:2]
    long_side, short_side = max(width, height), min(width, height)
    ratio = long_side / short_side
    scale = 1
    while (scale + 1) * math.ceil((scale + 1) / ratio) <= num_crops:
        scale += 1
    if long_side != CROP * scale or short_side % CROP != 0 or int(long_side / ratio) != short_side:
        raise ValueError(f'a picture of {width} x {height} would be resampled; draw it {CROP * scale} pixels long')
    whole = normalise(pixels)
    view = functional.interpolate(whole[None], (CROP, CROP), mode='bicubic', align_corners=False)
    rows, columns = height // CROP, width // CROP
    crops = whole.reshape(3, rows, CROP, columns, CROP).permute(1, 3, 0, 2, 4).reshape(-1, 3, CROP, CROP)
    return torch.cat([view, crops]), (rows, columns)


# --- CLIP's tower --------------------------------------------------------------------------------------------------


class ClipAttention(nn.Module):
    def __init__(self, width, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in ('q_proj', 'k_proj', 'v_proj', 'out_proj'):
            setattr(self, name, Linear(width, width, bias=True))

    def forward(self, x, asking):
        split = lambda y: y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # noqa: E731
        q, k, v = split(self.q_proj(asking)), split(self.k_proj(x)), split(self.v_proj(x))
        return self.out_proj(attend(q, k, v, 0, q.shape[-1] ** -0.5))


class ClipMlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.fc1, self.fc2 = Linear(width, inner, bias=True), Linear(inner, width, bias=True)

    def forward(self, x):
        inner = self.fc1(x)
        return self.fc2(inner * torch.sigmoid(1.702 * inner))


class ClipLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, epsilon = config['hidden_size'], config['layer_norm_eps']
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, epsilon), nn.LayerNorm(width, epsilon)
        self.self_attn = ClipAttention(width, config['num_attention_heads'])
        self.mlp = ClipMlp(width, config['intermediate_size'])

    def forward(self, x, rows=None):
        """All rows, or of each crop `rows` `[B, R]` only, from all."""
        normed = self.layer_norm1(x)
        asking = normed if rows is None else take_rows(normed, rows)
        x = (x if rows is None else take_rows(x, rows)) + self.self_attn(normed, asking)
        return x + self.mlp(self.layer_norm2(x))


def take_rows(x, rows):
    """`[B, T, C]` and `[B, R]` to `[B, R, C]`."""
    return x.gather(1, rows[..., None].expand(-1, -1, x.shape[-1]))


class ClipEmbeddings(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.patch_embedding = nn.Conv2d(3, width, PATCH, PATCH, bias=False)
        self.position_embedding = nn.Embedding(1 + GRID * GRID, width)

    def forward(self, crops):  # [B, 3, 336, 336] to [B, 1 + P, W]
        batch = crops.shape[0]
        patches = crops.reshape(batch, 3, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 1, 3, 5)
        kernel = self.patch_embedding.weight.flatten(1)
        patches = patches.reshape(batch, GRID * GRID, -1) @ kernel.T
        first = self.class_embedding.expand(batch, 1, -1)
        return torch.cat([first, patches], 1) + self.position_embedding.weight


class ClipEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(ClipLayer(config) for _ in range(config['num_hidden_layers']))


class ClipTower(nn.Module):
    """Gives `hidden_states[-2]` without the class token; the last layer and `post_layernorm` are only in the file."""

    def __init__(self, config):
        super().__init__()
        width, epsilon = config['hidden_size'], config['layer_norm_eps']
        self.embeddings = ClipEmbeddings(width)
        self.pre_layrnorm = nn.LayerNorm(width, epsilon)  # the published key is spelled so
        self.encoder = ClipEncoder(config)
        self.post_layernorm = nn.LayerNorm(width, epsilon)

    def forward(self, crops):  # to [B, P, W]
        x = self.pre_layrnorm(self.embeddings(crops))
        for layer in self.encoder.layers[:-1]:
            x = layer(x)
        return x[:, 1:]

    def of_tokens(self, crops, tokens):
        """Of each crop the merged features of some of its 144 tokens: `[B, K]` to `[B, K, 4 W]`. Much less work for the last layer."""
        x = self.pre_layrnorm(self.embeddings(crops))
        for layer in self.encoder.layers[:-2]:
            x = layer(x)
        half = GRID // 2
        first = 1 + 2 * GRID * (tokens // half) + 2 * (tokens % half)  # the class token comes first
        patches = first[..., None] + torch.tensor([0, 1, GRID, GRID + 1])
        return self.encoder.layers[-2](x, patches.flatten(1)).view(*tokens.shape, -1)


# --- features of a picture as rows of the prompt ---------------------------------------------------------------------


def merge_2x2(features):
    """Features of crops `[B, 576, W]` as `[B, 12, 12, 4 W]`: the four ordered dy, dx, channel."""
    batch, _, width = features.shape
    half = GRID // 2
    grid = features.view(batch, half, 2, half, 2, width)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(batch, half, half, 4 * width)


class ImageEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        clip, hidden = config['img_processor']['clip_config'], config['hidden_size']
        merged = 4 * clip['hidden_size']
        self.img_processor = nn.Module()
        self.img_processor.vision_model = ClipTower(clip)
        self.sub_GN = nn.Parameter(torch.randn(1, 1, 1, merged) * 0.1)
        self.glb_GN = nn.Parameter(torch.randn(1, 1, merged) * 0.1)
        self.img_projection = nn.Sequential(Linear(merged, hidden, bias=True), nn.GELU(), Linear(hidden, hidden, bias=True))

    def forward(self, crops, grid):
        """The rows of one picture in the prompt, `[tokens, C]`, from its crops and their grid (hc, wc)."""
        merged = merge_2x2(self.img_processor.vision_model(crops))
        rows, columns = grid
        half, width = GRID // 2, merged.shape[-1]
        sub = merged[1:].view(rows, columns, half, half, width).transpose(1, 2)
        sub = sub.reshape(rows * half, columns * half, width)
        end = self.sub_GN.view(1, 1, width)
        with_ends = lambda x: torch.cat([x, end.expand(len(x), 1, width)], 1).flatten(0, 1)  # noqa: E731
        arranged = torch.cat([with_ends(sub), self.glb_GN.view(1, width), with_ends(merged[0])])
        return self.img_projection(arranged)

    def of_single_crops(self, merged):
        """The same for pictures of one crop each, whose global view is the crop itself: `[B, 12, 12, 4 W]` to `[B, 313, C]`.

        Projects every different row once, which is half of the work.
        """
        batch, half = merged.shape[:2]
        ends = torch.stack([self.sub_GN.flatten(), self.glb_GN.flatten()])
        projected = self.img_projection(merged)
        sub_end, global_end = self.img_projection(ends)
        view = torch.cat([projected, sub_end.expand(batch, half, 1, -1)], 2).flatten(1, 2)
        return torch.cat([view, global_end.expand(batch, 1, -1), view], 1)


# --- the whole model -------------------------------------------------------------------------------------------------


class Phi3Vision(Phi3):
    """Phi3VForCausalLM, for one picture in a prompt."""

    def __init__(self, config):
        super().__init__(config)
        self.model.vision_embed_tokens = ImageEmbedding(config)

    def forward(self, ids, cache=None, image_rows=None):
        """Logits `[1, T, V]` of ids `[1, T]`; the negative ones are the rows of the picture, in order."""
        embedded = self.embed(ids.clamp(min=0))
        if image_rows is not None:
            embedded = embedded.index_put((ids < 0).nonzero(as_tuple=True), image_rows)
        return super().forward(ids, cache, embedded)

    def forward_questions(self, before, image_rows, questions, kept=None, weights=None):
        """Logits `[B, Q, T, V]` of questions `[B, Q, T]` (ids) about a picture each: ids `before` it, its rows, a question.

        Each question sees what stands before it and itself, at the positions it would have if it alone followed; so one
        picture pays for many questions. With `kept` `[B, K]` only those of its rows are there, at their places; of each,
        attention sees as many as `weights` `[B, K]` says, so that some can stand for others like them.
        """
        batch, count, length = questions.shape
        first, last = len(before), len(before) + image_rows.shape[1]
        if kept is None:
            kept = torch.arange(image_rows.shape[1]).expand(batch, -1)
        image_rows = take_rows(image_rows, kept)
        prefix = torch.cat([self.embed(before).expand(batch, -1, -1), image_rows], 1)
        hidden = torch.cat([prefix, self.embed(questions).flatten(1, 2)], 1)
        start = prefix.shape[1]
        own = torch.arange(last, last + length).repeat(count)
        positions = torch.cat([torch.arange(first).expand(batch, -1), first + kept, own.expand(batch, -1)], 1)
        branch = torch.cat([torch.full((start,), -1), torch.arange(count).repeat_interleave(length)])
        is_visible = (branch[None] == -1) | (branch[None] == branch[:, None])
        mask = causal_mask(0, len(branch)) + additive_mask(is_visible)
        if weights is not None:
            extra = torch.zeros(batch, 1, 1, len(branch))
            extra[:, 0, 0, first:start] = weights.log()
            mask = mask + extra
        cosines, sines = (table[positions][:, None] for table in self.rotary(torch.arange(last + length)))
        for layer in self.model.layers[:-1]:
            hidden = layer(hidden, cosines, sines, mask, lambda keys, values: (keys, values))
        hidden = self._last_layer(hidden, cosines, sines, mask, start)
        return self.head(hidden).unflatten(1, (count, length))

    def _last_layer(self, hidden, cosines, sines, mask, start):
        """The last layer for the rows from `start` on: of those before, nothing is read but keys and values."""
        layer = self.model.layers[-1]
        split = layer.self_attn.qkv_proj(layer.input_layernorm(hidden)).unflatten(-1, (-1, layer.head_dim)).transpose(1, 2)
        queries, keys, values = split.split([layer.num_heads, layer.num_groups, layer.num_groups], 1)
        queries = rotate(queries[:, :, start:], cosines[:, :, start:], sines[:, :, start:])
        attended = attend(queries, rotate(keys, cosines, sines), values, mask[..., start:, :], layer.head_dim**-0.5)
        hidden = hidden[:, start:] + layer.self_attn.o_proj(attended)
        gate, up = layer.mlp.gate_up_proj(layer.post_attention_layernorm(hidden)).chunk(2, -1)
        return hidden + layer.mlp.down_proj(up * functional.silu(gate))
