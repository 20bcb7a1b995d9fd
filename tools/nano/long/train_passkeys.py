"""The two trainings on pass keys, before and after the search of factors.

    /usr/bin/python3 tools/nano/long/train_passkeys.py short --seed 1    nano-mini becomes nano-mini-short
    /usr/bin/python3 tools/nano/long/train_passkeys.py long --seed 1     nano-mini-short becomes nano-mini-long

`short` hides pass keys within 256 tokens, under the short list, whose factors are 1; a third of the rows are pieces in no order that
come again far behind, which teach finding at every token. `long` takes the factors that the search
found and hides them in up to 2,048 tokens, under the long list: as Phi-3-mini-128k was made of the 4k model. One row in four of
the short lengths is conversations, so that those stay good.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch

from common import FOLDER, LONG_LENGTH, NUM_PAIRS, OUT, TRAINING_LENGTH, config_with, encode, exact_share, open_tokenizer, save, start
from batches import Packer
from checkpoint import load_model, write_json
from data.documents import chat_messages
from data.patterns import Patterns
from documents import characters_for, passkey_conversation
from members import generation_config
from model import create_model
from optimizer import Optimizer
from train import warm_then, weighted_loss

#: Rows of a step by their length: fewer where they are longer.
SHORT = [(128, 8), (192, 6), (TRAINING_LENGTH, 4)]
LONG = [(512, 2), (128, 8), (LONG_LENGTH // 2, 1), (TRAINING_LENGTH, 4), (LONG_LENGTH, 1)]


def train(name, base, factors, seed, threads, steps, out):
    rng, log, lines, started = start(name, seed, threads)
    contents, tokenizer = open_tokenizer()
    padding_id = generation_config('phi-3-mini')['pad_token_id']
    model = create_model(config_with(factors))
    model.load_state_dict(load_model(base).state_dict())
    model.train()
    overhead = len(encode(tokenizer, passkey_conversation(random.Random(0), 0))[0]) + 8

    def passkey(length):
        """One pass key alone in a row: two in sight of each other would be two answers."""
        room = characters_for(tokenizer, length - overhead)
        while True:
            ids, weights = encode(tokenizer, passkey_conversation(rng, rng.randint(room // 2, room)))
            if len(ids) <= length:
                rest = length - len(ids)
                return ids + [padding_id] * rest, weights + [0.0] * rest

    pool = Patterns(tokenizer).pool

    def far_repeat(length):
        """Pieces in no order, then anything, then the same pieces: finding what is far away, at every token."""
        count = rng.randint(5, 40)
        pieces = [rng.choice(pool) for _ in range(count)]
        between = [rng.choice(pool) for _ in range(rng.randint(0, length - 2 * count))]
        rest = length - 2 * count - len(between)
        return (pieces + between + pieces + [padding_id] * rest,
                [0.0] * (count + len(between) + 1) + [1.0] * (count - 1) + [0.0] * rest)

    chats = {length: Packer(lambda: encode(tokenizer, chat_messages(rng)), length, padding_id)
             for length in (128, 192, TRAINING_LENGTH)}

    def batch(length, rows):
        drawn = [far_repeat(length) if rng.random() < 0.35 else passkey(length) for _ in range(rows - rows // 4)]
        ids, weights = torch.tensor([ids for ids, _ in drawn]), torch.tensor([weights for _, weights in drawn])
        if rows < 4:
            return ids, weights
        chat_ids, chat_weights, numbers = chats[length].batch(rows // 4)
        return (torch.cat([ids, chat_ids]), torch.cat([weights, chat_weights]),
                torch.cat([torch.zeros_like(ids), numbers]))

    test_rng = random.Random(seed + 1)
    test = {length: [encode(tokenizer, passkey_conversation(test_rng, characters_for(tokenizer, length - overhead)))
                     for _ in range(16)] for length in (TRAINING_LENGTH, 2 * TRAINING_LENGTH, LONG_LENGTH)}

    def report(lengths):
        log('pass keys found: ' + ', '.join(f'{100 * exact_share(model, test[length]):.0f} % within {length} tokens'
                                            for length in lengths))

    lengths, rate, tested = ((SHORT, warm_then(0.005, 0.2), [TRAINING_LENGTH]) if name == 'nano-mini-short' else
                             (LONG, warm_then(0.003, 0.05), list(test)))
    optimizer = Optimizer(model)
    running = []
    for step in range(steps):
        loss = weighted_loss(model, *batch(*lengths[step % len(lengths)]))
        loss.backward()
        optimizer.step(rate(step / steps))
        running.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            log(f'step {step + 1}/{steps}  loss {sum(running) / len(running):.4f}  {time.time() - started:.0f} s')
            running = []
        if (step + 1) % 100 == 0 or step + 1 == steps:
            report(tested)
            save(out, model, contents)
    seconds = time.time() - started
    log(f'trained in {seconds:.0f} s, {time.process_time():.0f} s of processor time')
    write_json(out / 'training.json', {'name': name, 'seed': seed, 'threads': threads, 'log': lines,
                                       'seconds': round(seconds)})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('stage', choices=['short', 'long'])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--base', type=Path, help='what to start from; default: nano-mini of packages/nano, or nano-mini-short')
    parser.add_argument('--steps', type=int, help='default: 700 short ones, 200 long ones')
    arguments = parser.parse_args()
    if arguments.stage == 'short':
        base = arguments.base or FOLDER.parents[2] / 'packages/nano/models/nano-mini'
        train('nano-mini-short', base, [1.0] * NUM_PAIRS, arguments.seed, arguments.threads, arguments.steps or 700,
              OUT / 'nano-mini-short')
    else:
        factors = json.loads((FOLDER / 'factor-search.json').read_text())['factors']
        train('nano-mini-long', arguments.base or OUT / 'nano-mini-short', factors, arguments.seed, arguments.threads,
              arguments.steps or 200, OUT / 'nano-mini-long')
