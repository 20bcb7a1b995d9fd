"""Makes nano-mini-long of nano-mini-short and the factors that were found: a short training at up to 2,048 tokens.

    /usr/bin/python3 tools/nano/long/extend.py --seed 1

Phi-3-mini-128k was made from the 4k model in the same order: factors first, then training at the long length. Most steps
hide pass keys and magic numbers in long texts; every third one is short conversations, so that the short list stays good.
"""

import argparse
import json
import random
import time
from pathlib import Path

from common import FOLDER, LONG_LENGTH, OUT, TRAINING_LENGTH, config_with, encode, exact_share, open_tokenizer, save, start
from batches import Packer
from checkpoint import load_model, write_json
from data.documents import chat_messages
from documents import characters_for, passkey_conversation, retrieval_conversation
from members import generation_config
from model import create_model
from optimizer import Optimizer
from train import warm_then, weighted_loss

#: Length of the rows of each step in turn, and rows in a step: about as much work in each.
LENGTHS = [(LONG_LENGTH // 2, 3), (LONG_LENGTH, 1), (TRAINING_LENGTH, 12)]


def extend(base, factors, seed, threads, steps, out):
    rng, log, lines, started = start('nano-mini-long', seed, threads)
    contents, tokenizer = open_tokenizer()
    padding_id = generation_config('phi-3-mini')['pad_token_id']
    model = create_model(config_with(factors))
    model.load_state_dict(load_model(base).state_dict())
    model.train()

    def packer(length):
        if length == TRAINING_LENGTH:
            short = lambda: encode(tokenizer, chat_messages(rng) if rng.random() < 0.7 else
                                   retrieval_conversation(rng, tokenizer, rng.randint(110, TRAINING_LENGTH)))
            return Packer(short, length, padding_id)
        return Packer(lambda: encode(tokenizer, retrieval_conversation(rng, tokenizer, length, 30)), length, padding_id)

    packers = {length: packer(length) for length, _ in LENGTHS}
    test_rng = random.Random(seed + 1)
    test = {length: [encode(tokenizer, passkey_conversation(test_rng, characters_for(tokenizer, length - 140)))
                     for _ in range(16)] for length in (TRAINING_LENGTH, 4 * TRAINING_LENGTH, LONG_LENGTH)}

    def report():
        for length, documents in test.items():
            log(f'pass keys found within {length} tokens: {100 * exact_share(model, documents):.0f} %')

    report()
    optimizer = Optimizer(model)
    rate = warm_then(0.004, 0.05)
    running = {length: [] for length, _ in LENGTHS}
    for step in range(steps):
        length, rows = LENGTHS[step % len(LENGTHS)]
        loss = weighted_loss(model, *packers[length].batch(rows))
        loss.backward()
        optimizer.step(rate(step / steps))
        running[length].append(loss.item())
        if (step + 1) % 30 == 0 or step + 1 == steps:
            means = '  '.join(f'{length}: {sum(losses) / len(losses):.4f}' for length, losses in running.items() if losses)
            log(f'step {step + 1}/{steps}  loss at {means}  {time.time() - started:.0f} s')
            running = {length: [] for length, _ in LENGTHS}
        if (step + 1) % 90 == 0 or step + 1 == steps:
            report()
            save(out, model, contents)
    seconds = time.time() - started
    log(f'trained in {seconds:.0f} s, {time.process_time():.0f} s of processor time')
    write_json(out / 'training.json', {'name': 'nano-mini-long', 'seed': seed, 'threads': threads, 'log': lines,
                                       'seconds': round(seconds)})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--base', type=Path, default=OUT / 'nano-mini-short')
    parser.add_argument('--factors', type=Path, default=FOLDER / 'factor-search.json')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--steps', type=int, default=270)
    parser.add_argument('--out', type=Path, default=OUT / 'nano-mini-long')
    arguments = parser.parse_args()
    extend(arguments.base, json.loads(arguments.factors.read_text())['factors'], arguments.seed, arguments.threads,
           arguments.steps, arguments.out)
