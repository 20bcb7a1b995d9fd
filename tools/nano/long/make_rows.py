"""Writes `out/rows.json`: rows of 2,048 tokens on which factors are searched and compared, seeded and apart from all training.

    /usr/bin/python3 tools/nano/long/make_rows.py

Half of the rows hide one pass key, half are many short conversations behind one another. `counts` are the positions whose
tokens are scored: those of answers, as in training; of the short conversations the last ones only, so that finding something
far away counts about as much as going on with what is near.
"""

import json
import random

from common import LONG_LENGTH, OUT, encode, open_tokenizer
from batches import Packer
from data.documents import chat_messages
from documents import characters_for, passkey_conversation
from members import generation_config

#: Tokens that are scored in a row, at most.
NUM_COUNTED = 30


def make_rows(seed, count):
    _, tokenizer = open_tokenizer()
    rng = random.Random(seed)
    padding_id = generation_config('phi-3-mini')['pad_token_id']

    def long_conversation():
        while True:
            ids, weights = encode(tokenizer, passkey_conversation(rng, characters_for(tokenizer, rng.randint(1500, 1900))))
            if 1600 <= len(ids) <= LONG_LENGTH:
                return ids, weights

    rows = []
    for index in range(count):
        if index % 2 == 0:
            ids, weights = long_conversation()
        else:
            packer = Packer(lambda: encode(tokenizer, chat_messages(rng)), LONG_LENGTH, padding_id)
            ids, weights, _ = (part[0].tolist() for part in packer.batch(1))
        counts = [i for i, weight in enumerate(weights) if weight > 0 and i > 0]
        rows.append({'ids': ids, 'counts': counts[-NUM_COUNTED:]})
    return rows


if __name__ == '__main__':
    contents = {'search': make_rows(20261, 4), 'heldOut': make_rows(20262, 16)}
    lines = json.dumps(contents, separators=(',', ':'))
    (OUT / 'rows.json').write_text(lines + '\n', encoding='utf-8')
    print(f'{sum(len(row["ids"]) for part in contents.values() for row in part):,} tokens in '
          f'{sum(len(part) for part in contents.values())} rows')
