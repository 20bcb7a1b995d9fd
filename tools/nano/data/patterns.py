"""Phase 0: rows without a meaning in which everything can be found again.

Between short exercises little can be gained by looking up, so a small model learns to recite first and to look up late. Here
nothing else is to be learnt: pieces drawn at random that come again, pieces that belong together, lists and the same lists in
order. A document is `(ids, weights)`; tokens that nobody could know have the weight 0.
"""

from held_out import is_held_out

KINDS = {'repeats': 3, 'recall': 4, 'order': 4, 'larger': 1.5}


def repeats(rng, pool):
    """Pieces in no order, two or three times the same."""
    length = rng.randint(3, 36)
    copies = 2 if length > 16 else rng.choice([2, 3])
    pieces = [rng.choice(pool) for _ in range(length)]
    return pieces * copies, [0.0] * (length + 1) + [1.0] * (length * (copies - 1) - 1)


def recall(rng, pool, digits):
    """Keys with values, then the keys in another order, each with its value (Arora et al., 2023, arXiv:2312.04927)."""
    count = rng.randint(2, 9)
    signs = rng.sample(pool, 4)
    before, between, after = signs[:rng.randint(0, 1)], signs[1:1 + rng.randint(0, 2)], signs[3:3 + rng.randint(0, 1)]
    keys = [[key] for key in rng.sample(pool, count)]
    values = [[rng.choice(digits) for _ in range(rng.randint(1, 2))] if rng.random() < 0.4 else [rng.choice(pool)]
              for _ in keys]
    ids, weights = [], []
    asked = list(range(count))
    for turn in range(rng.randint(2, 3)):
        for at in asked:
            ids += before + keys[at] + between + values[at] + after
            weights += [0.0] * (len(before) + 1)
            weights += [1.0 if turn else 0.0] * (len(between) + len(values[at]))
            weights += [0.0] * len(after)
        rng.shuffle(asked)
    return ids, weights


def _segments(tokenizer, segments):
    return tokenizer.encode_segments(segments)


def order(rng, tokenizer):
    """Numbers, and the same numbers in order."""
    segments = []
    for _ in range(rng.randint(1, 2)):
        numbers = rng.sample(range(10, 100), rng.randint(2, 6))
        while is_held_out('sort', *sorted(numbers)):
            numbers = rng.sample(range(10, 100), len(numbers))
        segments += [(', '.join(map(str, numbers)) + '.\n', 0.0), (', '.join(map(str, sorted(numbers))) + '.', 1.0),
                     ('\n', 0.0)]
    return _segments(tokenizer, segments)


def larger(rng, tokenizer):
    """Of two numbers the larger or smaller one, several times."""
    segments = []
    for _ in range(rng.randint(2, 5)):
        a, b = rng.sample(range(100), 2)
        if is_held_out('compare', min(a, b), max(a, b)):
            continue
        word, pick = rng.choice([('larger', max), ('smaller', min)])
        segments += [(f'{word}, {a} or {b}: ', 0.0), (f'{pick(a, b)}.', 1.0), ('\n', 0.0)]
    return _segments(tokenizer, segments) if segments else larger(rng, tokenizer)


class Patterns:
    """Documents of a member's own pieces; `draw(rng)` gives the next one."""

    def __init__(self, tokenizer, kinds=None):
        self.tokenizer, self.kinds = tokenizer, kinds or KINDS
        self.pool = [id for piece, id in tokenizer.ids.items() if id >= 259 and piece.strip('\u2581')]
        self.digits = [tokenizer.ids[digit] for digit in '0123456789']

    def draw(self, rng, kind=None):
        kind = kind or rng.choices(list(self.kinds), list(self.kinds.values()))[0]
        if kind == 'repeats':
            return repeats(rng, self.pool)
        if kind == 'recall':
            return recall(rng, self.pool, self.digits)
        return (order if kind == 'order' else larger)(rng, self.tokenizer)
