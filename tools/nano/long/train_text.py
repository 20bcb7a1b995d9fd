"""Trains nano-mini-text, from which nano-mini-long is made: 256 tokens, both lists of factors 1.

    /usr/bin/python3 tools/nano/long/train_text.py --seed 1

Two stages: textbook pages of both phases, then conversations, half of which hide a pass key or magic numbers.
"""

import argparse
import random
import time

from common import LONG_LENGTH, NUM_PAIRS, OUT, TRAINING_LENGTH, config_with, encode, exact_share, open_tokenizer, save, start
from batches import Packer
from checkpoint import write_json
from data.documents import GENERAL, REASONING, chat_messages, textbook_page
from documents import characters_for, passkey_conversation, retrieval_conversation
from members import generation_config
from model import create_model
from optimizer import Optimizer
from train import train_stage, warm_then

TOKENS = {'pages': 500_000, 'conversations': 750_000}


def train_text(seed, threads, quick):
    rng, log, lines, started = start('nano-mini-text', seed, threads)
    contents, tokenizer = open_tokenizer()
    padding_id = generation_config('phi-3-mini')['pad_token_id']
    model = create_model(config_with([1.0] * NUM_PAIRS))
    log(f'{model.num_parameters():,} parameters')
    end = tokenizer.specials['<|endoftext|>']

    def page():
        ids, weights = tokenizer.encode_segments(textbook_page(rng, {**GENERAL, **REASONING}, True))
        return ids + [end], weights + [1.0]

    def conversation():
        if rng.random() < 0.5:
            return encode(tokenizer, chat_messages(rng))
        return encode(tokenizer, retrieval_conversation(rng, tokenizer, rng.randint(110, TRAINING_LENGTH)))

    test_rng = random.Random(seed + 1)
    room = characters_for(tokenizer, 120)
    test = [encode(tokenizer, passkey_conversation(test_rng, test_rng.randint(0, room))) for _ in range(40)]

    def stage(name, packer, rate, parts):
        log(name)
        for part in range(parts):
            part_rate = lambda progress: rate((part + progress) / parts)
            train_stage(model, optimizer, packer, int(quick * TOKENS[name] / parts), part_rate, log)
            log(f'pass keys found within {TRAINING_LENGTH} tokens: {100 * exact_share(model, test):.0f} %')
            save(OUT / 'nano-mini-text', model, contents)

    optimizer = Optimizer(model)
    stage('pages', Packer(page, 128, padding_id), warm_then(0.01, 1, 0.15), 1)
    stage('conversations', Packer(conversation, TRAINING_LENGTH, padding_id), warm_then(0.01, 0.5, 0.0001), 2)
    seconds = time.time() - started
    log(f'trained in {seconds:.0f} s, {time.process_time():.0f} s of processor time')
    write_json(OUT / 'nano-mini-text' / 'training.json',
               {'name': 'nano-mini-text', 'seed': seed, 'threads': threads, 'extends to': LONG_LENGTH, 'log': lines,
                'seconds': round(seconds)})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--quick', type=float, default=1.0, help='share of the tokens, for a trial')
    arguments = parser.parse_args()
    train_text(arguments.seed, arguments.threads, arguments.quick)
