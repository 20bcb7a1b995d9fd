"""Training documents in which something must be found again: a pass key, or magic numbers of some keys.

The wording is that of the tasks of `@phiblocks/evals`, which are seeded elsewhere and never read here. One document holds
several needles and asks for several of them, one question behind the other: a long text then teaches more than one answer.
"""

from data.words import COLOURS, OBJECTS

REPEATED = 'The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. '
PASSKEY_TASK = ('There is important information hidden inside a lot of irrelevant text. Find it and remember it. '
                'I will ask you about it.')
LETTERS = 'abcdefghijklmnopqrstuvwxyz'


def _filler(characters):
    return (REPEATED * (characters // len(REPEATED) + 1))[:characters]


def passkey_conversation(rng, characters):
    """Messages `(role, text)`: a pass key somewhere in so many characters of filler."""
    key = rng.randint(1, 50000)
    cut = rng.randint(0, characters)
    filler = _filler(characters)
    text = '\n'.join([PASSKEY_TASK, filler[:cut], f'The pass key is {key}. Remember it. {key} is the pass key.',
                      filler[cut:], 'What is the pass key?'])
    return [('user', text), ('assistant', f'The pass key is {key}.')]


def _word(rng):
    return ''.join(rng.choice(LETTERS) for _ in range(rng.randint(3, 7)))


def _key(rng):
    """Words that the model knows, or letters in any order, so that it copies and does not guess."""
    return f'{rng.choice(COLOURS)}-{rng.choice(OBJECTS)}' if rng.random() < 0.4 else f'{_word(rng)}-{_word(rng)}'


def needle_conversation(rng, characters, needles, questions):
    """Messages: so many needles in filler, and questions for some of them, each answered."""
    keys = set()
    while len(keys) < needles:
        keys.add(_key(rng))
    values = {key: rng.randint(1_000_000, 9_999_999) for key in sorted(keys)}
    order = sorted(keys)
    rng.shuffle(order)
    sentences = [sentence + '.' for sentence in _filler(characters).strip().split('. ') if sentence]
    places = sorted((rng.randint(0, len(sentences)) for _ in order), reverse=True)
    for place, key in zip(places, order):
        sentences.insert(place, f'One of the special magic numbers for {key} is: {values[key]}.')
    asked = rng.sample(order, min(questions, len(order)))
    question = 'What is the special magic number for {} that the text mentions?'
    hidden = 'A special magic number is hidden in the text below. Memorize it: I will ask you about it.'
    messages = []
    for index, key in enumerate(asked):
        text = question.format(key)
        messages.append(('user', f'{hidden}\n{" ".join(sentences)}\n{text}' if index == 0 else text))
        messages.append(('assistant', f'The special magic number for {key} that the text mentions is {values[key]}.'))
    return messages


def characters_for(tokenizer, tokens):
    """How many characters of filler make about so many tokens."""
    return max(0, round(tokens * 1000 / len(tokenizer.encode(_filler(1000)))))


def retrieval_conversation(rng, tokenizer, length, margin=20):
    """A conversation of about `length` tokens, most often a little less, half of them pass keys."""
    if rng.random() < 0.5:
        empty = passkey_conversation(rng, 0)
        room = length - _tokens(tokenizer, empty) - margin
        return passkey_conversation(rng, characters_for(tokenizer, room))
    needles = max(1, min(16, length // 150))
    questions = rng.randint(1, max(1, min(6, needles)))
    room = length - _tokens(tokenizer, needle_conversation(rng, 0, needles, questions)) - margin
    if room < 0:
        return passkey_conversation(rng, 0)
    return needle_conversation(rng, characters_for(tokenizer, room), needles, questions)


def _tokens(tokenizer, messages):
    return sum(len(tokenizer.encode(text)) + 3 for _, text in messages)
