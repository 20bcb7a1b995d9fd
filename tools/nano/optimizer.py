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


class Optimizer:
    """One step for all parameters. `learning_rate` is Muon's; Adam's is a fixed share of it.

    A head of its own takes much smaller steps than the rest: all its columns move at once with every step of Adam, and at
    half of Muon's rate the logits jump about so much that nothing fine is learnt before the rate has fallen.
    """

    def __init__(self, model, adam_share=0.5, head_share=0.1, momentum=0.95, weight_decay=0.05):
        self.momentum, self.weight_decay = momentum, weight_decay
        named = list(model.named_parameters())
        is_inner = lambda name, p: p.ndim == 2 and 'layers.' in name and 'gate.weight' not in name
        self.matrices = [p for name, p in named if is_inner(name, p)]
        self.buffers = [torch.zeros_like(p) for p in self.matrices]
        rest = [p for name, p in named if not is_inner(name, p) and not name.startswith('lm_head')]
        head = [p for name, p in named if name.startswith('lm_head')]
        groups = [{'params': rest, 'share': adam_share}]
        if head:
            groups.append({'params': head, 'share': head_share})
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
