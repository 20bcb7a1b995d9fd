"""Writes `out/rows.json`: rows of up to 2,048 tokens on which factors are searched, chosen and compared, seeded and apart from
all training.

    /usr/bin/python3 tools/nano/long/make_rows.py

Three rows in four hide one pass key, at depths that are evenly spread; the others are many short conversations behind one another.
`counts` are the positions whose tokens are scored: those of answers, as in training; of the conversations the last ones only, so
that they stand behind a long text.
"""

import json
import random

from common import LONG_LENGTH, OUT, encode, open_tokenizer
from batches import Packer
from data.documents import chat_messages
from documents import characters_for, passkey_conversation
from members import generation_config

#: How many rows, and their seed: searched on, chosen on, compared on.
SETS = {'search': (8, 20261), 'validation': (12, 20262), 'heldOut': (24, 20263)}
#: Tokens that are scored in a row of conversations.
NUM_COUNTED = 30


def make_rows(count, seed):
    _, tokenizer = open_tokenizer()
    rng = random.Random(seed)
    padding_id = generation_config('phi-3-mini')['pad_token_id']

    def passkey(index):
        while True:
            characters = characters_for(tokenizer, rng.randint(LONG_LENGTH - 200, LONG_LENGTH - 120))
            ids, weights = encode(tokenizer, passkey_conversation(rng, characters, depth=(index + rng.random()) / count))
            if len(ids) <= LONG_LENGTH:
                return ids, weights

    def conversations(index):
        packer = Packer(lambda: encode(tokenizer, chat_messages(rng)), LONG_LENGTH, padding_id)
        ids, weights, _ = (part[0].tolist() for part in packer.batch(1))
        counts = [i for i, weight in enumerate(weights) if weight > 0][-NUM_COUNTED:]
        last = counts[-1]
        return ids[:last + 1], [float(i in counts) for i in range(last + 1)]

    rows = []
    for index in range(count):
        kind = conversations if index % 4 == 3 else passkey
        ids, weights = kind(index)
        rows.append({'kind': kind.__name__, 'ids': ids, 'counts': [i for i, weight in enumerate(weights) if weight > 0]})
    return rows


if __name__ == '__main__':
    contents = {name: make_rows(*values) for name, values in SETS.items()}
    OUT.mkdir(exist_ok=True)
    (OUT / 'rows.json').write_text(json.dumps(contents, separators=(',', ':')) + '\n', encoding='utf-8')
    for name, rows in contents.items():
        print(f'{name}: {len(rows)} rows, {sum(len(row["ids"]) for row in rows):,} tokens, '
              f'{sum(len(row["counts"]) for row in rows):,} of them scored')
