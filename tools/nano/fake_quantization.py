"""Training that knows about 4 bits: weights pass through the rounding of q4_0, gradients pass it by."""

import torch

from model import Linear


class RoundTo4Bits(torch.autograd.Function):
    """Blocks of 32 along a row, 16 levels, the scale from the element of largest magnitude: q4_0 of GGUF."""

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


def set_fake_quantization(model, enabled):
    """Turns the rounding of every linear layer's weight on or off."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.weight_noise = RoundTo4Bits.apply if enabled else None
