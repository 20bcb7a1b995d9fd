"""Which questions no training ever sees. The words and numbers of a question decide, by a hash, before it is worded."""

import hashlib

#: One question in eight is held out.
ONE_IN = 8


def is_held_out(*operands):
    """True when a question about these operands belongs to the evaluation and must stay out of every training phase.

    The operands are what makes two questions the same question however they are worded: `('add', 38, 47)` for
    `47 + 38`, in either order, also inside a word problem. The evaluation in TypeScript computes the same hash.

    >>> is_held_out('add', 38, 47) == is_held_out('add', 38, 47)
    True
    """
    text = '|'.join(str(operand) for operand in operands)
    return hashlib.sha256(text.encode('utf-8')).digest()[0] % ONE_IN == 0
