"""Muon for the matrices inside the layers, Adam for everything else.

Source of Muon: Keller Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024: the momentum of a
matrix is replaced by the nearest matrix with all singular values one, by five steps of a Newton-Schulz iteration.
"""

import torch


def orthogonalize(matrix, steps=5):
    """Roughly U Vᵀ of a matrix U S Vᵀ. The quintic's coefficients are those of the source."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = (x.t() if tall else x).to(torch.bfloat16)
    for _ in range(steps):
        gram = x @ x.t()
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.t() if tall else x).float()


def _kind(name, is_tied):
    """What Adam trains, by how large its steps may be."""
    if name.startswith('lm_head') or (is_tied and 'embed_tokens' in name):
        return 'head'
    if name.endswith('gate.weight'):
        return 'router'
    is_text = name.startswith(('model.layers.', 'model.norm.', 'model.final_layernorm.'))
    return 'bias' if is_text and name.endswith('.bias') else 'rest'


class Optimizer:
    """One step for all parameters. `learning_rate` is Muon's; Adam's is a fixed share of it.

    A head takes much smaller steps than the rest, also where it is the embedding: all its columns move at once with every step
    of Adam, and at half of Muon's rate the logits jump about so much that nothing fine is learnt before the rate has fallen. The
    same holds of the biases of the text model, and most of all of routers: at that rate the scores of the experts change by
    more than they differ with every step, so that no expert sees the same tokens for long.
    """

    def __init__(self, model, adam_share=0.5, head_share=0.1, bias_share=0.05, router_share=0.01, momentum=0.95,
                 weight_decay=0.05):
        self.momentum, self.weight_decay = momentum, weight_decay
        named = list(model.named_parameters())
        is_inner = lambda name, p: p.ndim == 2 and 'layers.' in name and 'gate.weight' not in name
        self.matrices = [p for name, p in named if is_inner(name, p)]
        self.buffers = [torch.zeros_like(p) for p in self.matrices]
        shares = {'head': head_share, 'router': router_share, 'bias': bias_share, 'rest': adam_share}
        kinds = {kind: [] for kind in shares}
        is_tied = not hasattr(model, 'lm_head')
        for name, parameter in named:
            if not is_inner(name, parameter):
                kinds[_kind(name, is_tied)].append(parameter)
        groups = [{'params': kinds[kind], 'share': shares[kind]} for kind in shares if kinds[kind]]
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-9)

    @torch.no_grad()
    def step(self, learning_rate):
        for parameter, buffer in zip(self.matrices, self.buffers):
            if parameter.grad is None:
                continue
            buffer.mul_(self.momentum).add_(parameter.grad)
            update = orthogonalize(parameter.grad + self.momentum * buffer)
            parameter.mul_(1 - learning_rate * self.weight_decay)
            # As large as a step of Adam would be: root mean square 0.2 per element.
            parameter.add_(update, alpha=-learning_rate * 0.2 * max(parameter.shape) ** 0.5)
            parameter.grad = None
        for group in self.adam.param_groups:
            group['lr'] = learning_rate * group['share']
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
