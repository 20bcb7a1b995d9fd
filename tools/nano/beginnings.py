"""How attention begins: with heads that look back, and heads that look up.

To find something in a question again takes two heads behind one another: one that carries each token to those after it, and
one that searches for what the first has carried and copies what stands there ("induction heads": Olsson et al., 2022,
arXiv:2209.11895). From random weights neither is of use before the other exists, and eight million tokens were not enough for
them to appear. So some heads begin as what they are wanted for (as in Trockman and Kolter, 2023, arXiv:2305.09828), and are
trained like all others.

- Layer 0, the first half of the heads: head h looks h + 1 tokens back, whatever stands there. All embeddings share a component,
  which queries and keys turn into a vector that is the same everywhere; what the rotation leaves of it is the distance.
- Layer 1, two heads: one searches for the token now among the tokens that came one before, the other for the token before
  among the tokens that came two before. Both copy what they find towards the logits.
- Where layer norms with bias stand (Phi-3-small and Phi-3.5-MoE), the feed-forward layers and experts begin a tenth as loud:
  at random they drown what the heads say. (The members of Phi-3's own architecture were trained without this.)
- A tied head answers with the token it has just read unless what was found is louder, and its logits, divided as the
  parametrization wants it, begin too small to tell anything apart; the last layer norm makes up for that.
"""

import torch

#: Length of the shared component, in units of what an embedding spreads along one direction.
CONSTANT = 4.0
#: How far the score of the right place is above 0, per rotated pair, where a head looks back.
LOOK_BACK = 6.0
#: Length of the rows with which queries and keys read what they compare.
LOOK_UP = 2.6
#: A pair turns slowly when it turns less than this within SEARCHED tokens; only such pairs compare tokens from afar.
SLOW, SEARCHED = 1.3, 128
#: How loudly what was found is copied: towards a head of its own, and towards the embeddings where the head is tied to them.
COPY, TIED_COPY = 2.0, 10.0
#: The weight of the last layer norm before a tied head, and the share of feed-forward layers beside layer norms with bias.
TIED_NORM, QUIET = 12.0, 0.1


class Heads:
    """Views of the weights of one layer by head, of all three architectures."""

    def __init__(self, layer, config):
        self.dim = config['hidden_size'] // config['num_attention_heads']
        self.per_group = config['num_attention_heads'] // config['num_key_value_heads']
        num_heads, num_groups = config['num_attention_heads'], config['num_key_value_heads']
        attention = layer.self_attn
        if config['model_type'] == 'phi3':
            rows = attention.qkv_proj.weight.split([num_heads * self.dim] + [num_groups * self.dim] * 2)
            self._queries, self._keys, self._values = rows
            self._out = attention.o_proj.weight
        elif config['model_type'] == 'phi3small':
            fused = attention.query_key_value.weight.unflatten(0, (num_groups, self.per_group + 2, self.dim))
            self._queries, self._keys, self._values = None, None, None
            self._fused, self._out = fused, attention.dense.weight
        else:
            self._queries, self._keys, self._values = (getattr(attention, name).weight
                                                       for name in ('q_proj', 'k_proj', 'v_proj'))
            self._out = attention.o_proj.weight

    def _rows(self, weight, index):
        return weight[index * self.dim:(index + 1) * self.dim]

    def queries(self, head):
        """Rows `[D, C]` of a query head."""
        if self._queries is None:
            return self._fused[head // self.per_group, head % self.per_group]
        return self._rows(self._queries, head)

    def keys(self, group):
        return self._fused[group, -2] if self._keys is None else self._rows(self._keys, group)

    def values(self, group):
        return self._fused[group, -1] if self._values is None else self._rows(self._values, group)

    def out(self, head):
        """Columns `[C, D]` of a query head in the output."""
        return self._out[:, head * self.dim:(head + 1) * self.dim]


@torch.no_grad()
def begin_with_lookups(model):
    """Replaces the random weights of those heads, and of what they read and write. Draws from torch's generator."""
    config = model.config
    size, half = config['hidden_size'], config['hidden_size'] // config['num_attention_heads'] // 2
    embeddings = model.model.embed_tokens.weight
    spread = embeddings.std()
    first, second = (Heads(layer, config) for layer in model.model.layers[:2])
    frequencies = (config.get('rope_theta') or config['rope_embedding_base']) ** (-torch.arange(half) / half)
    slow = (frequencies * SEARCHED < SLOW).nonzero().flatten()
    slow = torch.cat([slow, slow + half])
    scale = config.get('mup_attn_multiplier', first.dim ** 0.5) / first.dim

    # Directions apart from the embeddings: the shared one, and rooms for what the heads write.
    directions = torch.randn(size, 1 + 2 * len(slow) + 32)
    directions = torch.linalg.qr(directions - directions.mean(0))[0]
    constant, *rooms = directions.split([1, len(slow), len(slow), 32], 1)
    embeddings -= embeddings @ directions @ directions.t()
    embeddings += CONSTANT * spread * constant.t()

    # Layer 0. A vector a query makes of the shared component, turned back by the distance, meets that of the key.
    is_fast = frequencies > 0.02
    length = (LOOK_BACK / scale) ** 0.5 / CONSTANT
    for head in range(config['num_attention_heads'] // 2):
        angles = -(head + 1) * frequencies
        look = torch.cat([angles.cos() * is_fast, angles.sin() * is_fast])[:, None] @ constant.t()
        there = torch.cat([is_fast.float(), torch.zeros(half)])[:, None] @ constant.t()
        group = head // first.per_group
        first.queries(head).mul_(0.25).add_(length * look)
        if head % first.per_group == 0:
            first.keys(group).mul_(0.25).add_(length * there)
            first.values(group).copy_(first.values(0))                # what is carried is the same at all distances
        if head < 2:
            columns = first.out(head)
            columns[:, slow] = rooms[head]

    # Layer 1. Both sides of a comparison read the same directions, in pairs that hardly turn.
    read = first.values(0)[slow]                                              # [slow, C]
    copied = torch.linalg.qr(torch.randn(size, 32))[0].t()                    # [32, C]
    comparisons = [(read, rooms[0].t()), (rooms[0].t(), rooms[1].t())]
    for group, (wanted, carried) in enumerate(comparisons):
        head = group * second.per_group
        for rows, reads in ((second.queries(head), wanted), (second.keys(group), carried)):
            rows.mul_(0.1)
            rows[slow] = LOOK_UP * (first.dim ** -0.5 / scale) ** 0.5 * reads
        second.values(group)[:32] = copied
        second.out(head)[:, :32] = COPY * rooms[2] if hasattr(model, 'lm_head') else TIED_COPY * copied.t()
    if hasattr(model, 'lm_head'):
        model.lm_head.weight += 0.25 * (embeddings @ copied.t()) @ rooms[2].t()
    else:
        model.model.final_layernorm.weight.fill_(TIED_NORM)
    if config['model_type'] != 'phi3':
        for name, weight in model.named_parameters():
            if name.endswith(('mlp.down_proj.weight', 'w2.weight')):
                weight.mul_(QUIET)
