"""Training documents in which something must be found again: a pass key, or pieces in no order.

The wording of the pass keys is that of the task of `@phiblocks/evals`, whose samples are seeded elsewhere and never read here.
A document is `(ids, weights)`: tokens that nobody could know have the weight 0.
"""

REPEATED = 'The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. '
PASSKEY_TASK = ('There is important information hidden inside a lot of irrelevant text. Find it and remember it. '
                'I will ask you about it.')


def _filler(characters):
    return (REPEATED * (characters // len(REPEATED) + 1))[:characters]


def _key_of_few_digits(rng):
    """A key in which digits come again, so that the digit before does not tell which one follows."""
    while True:
        digits = rng.sample('0123456789', rng.randint(1, 3))
        key = ''.join(rng.choice(digits) for _ in range(rng.randint(3, 5)))
        if key[0] != '0' and int(key) <= 50000:
            return key


def passkey_conversation(rng, characters, share_of_few_digits=0.0, depth=None):
    """Messages `(role, text)`: a pass key in so many characters of filler, anywhere or at a depth of 0 to 1."""
    key = _key_of_few_digits(rng) if rng.random() < share_of_few_digits else str(rng.randint(1, 50000))
    cut = rng.randint(0, characters) if depth is None else round(depth * characters)
    filler = _filler(characters)
    text = '\n'.join([PASSKEY_TASK, filler[:cut], f'The pass key is {key}. Remember it. {key} is the pass key.',
                      filler[cut:], 'What is the pass key?'])
    return [('user', text), ('assistant', f'The pass key is {key}.')]


def far_repeat(rng, pool, length):
    """Pieces in no order, then anything, then the same pieces: what is far away is to be found at every token."""
    count = rng.randint(5, 40)
    pieces = [rng.choice(pool) for _ in range(count)]
    between = [rng.choice(pool) for _ in range(rng.randint(0, length - 2 * count))]
    return pieces + between + pieces, [0.0] * (count + len(between) + 1) + [1.0] * (count - 1)


def digits_again(rng, digits, pool, length):
    """A long number, then anything, then the same number: one digit does not tell which one follows, four do."""
    count = rng.randint(8, 32)
    number = [rng.choice(digits) for _ in range(count)]
    between = [rng.choice(pool) for _ in range(rng.randint(1, length - 2 * count))]
    return number + between + number, [0.0] * (count + len(between) + 3) + [1.0] * (count - 3)


def characters_for(tokenizer, tokens):
    """How many characters of filler make about so many tokens."""
    return max(0, round(tokens * 1000 / len(tokenizer.encode(_filler(1000)))))
