"""Training that knows about 4 bits: weights pass through the rounding of a format of GGUF, gradients pass it by."""

import torch

from model import Embedding, Linear


class RoundToQ40(torch.autograd.Function):
    """q4_0: blocks of 32 along a row, 16 levels, the scale from the element of largest magnitude."""

    @staticmethod
    def forward(ctx, weight):
        blocks = weight.reshape(-1, 32)
        extreme = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = extreme / -8
        inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
        return ((blocks * inverse + 8.5).floor().clamp(0, 15).sub(8) * scale).view_as(weight)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class RoundToQ4K(torch.autograd.Function):
    """q4_k: eight blocks of 32 share two float16 numbers; each has 16 levels from a minimum up, both in 6 bits of the shared.

    A quantizer may search for better scales than those from the ends; what is learnt under these bears those too.
    """

    @staticmethod
    def forward(ctx, weight):
        blocks = weight.reshape(-1, 8, 32)
        depth = (-blocks.amin(2, keepdim=True)).clamp(min=0)
        scale = (blocks.amax(2, keepdim=True) + depth).clamp(min=0) / 15
        in_6_bits = lambda part: _steps(part, _half(part.amax(1, keepdim=True) / 63)).round()
        scale, depth = (in_6_bits(part) * _half(part.amax(1, keepdim=True) / 63) for part in (scale, depth))
        return (_steps(blocks + depth, scale).round().clamp(0, 15) * scale - depth).view_as(weight)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def _half(values):
    return values.half().float()


def _steps(values, size):
    """values / size, and 0 where the size is 0."""
    return torch.where(size == 0, torch.zeros_like(values), values / size)


ROUNDINGS = {'q4_0': RoundToQ40.apply, 'q4_k': RoundToQ4K.apply}


def set_fake_quantization(model, form, as_files=False):
    """Rounds the weight of every linear layer as `q4_0` or `q4_k`, or no longer for None.

    `as_files`: what such files round, which is the embedding too, and not a head, whether it is the embedding or not: it has 6
    bits there.
    """
    rounding = None if form is None else ROUNDINGS[form]
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            module.weight_noise = None if as_files and name == 'lm_head' else rounding
        elif isinstance(module, Embedding):
            module.weight_noise = rounding if as_files and hasattr(model, 'lm_head') else None
