"""The trainings on pass keys, before and after the search of factors.

    /usr/bin/python3 tools/nano/long/train_passkeys.py short --seed 1    nano-mini becomes nano-mini-short
    /usr/bin/python3 tools/nano/long/train_passkeys.py long --seed 1     nano-mini-short becomes nano-mini-long

`short` hides pass keys within 256 tokens, under the short list, whose factors are 1. `long` takes the factors that the search
found: as Phi-3-mini-128k was made of the 4k model. Three of four of its steps have one row of up to 2,048 tokens, and cheap rows of 192
that have positions of the whole long range: a few gaps are left between them (Zhu et al., 2023, arXiv:2309.10400). The fourth
hides its pass keys as `short` does. Every step of both has conversations beside them, so that what nano-mini could stays.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from common import (FOLDER, LONG_LENGTH, NUM_PAIRS, OUT, TRAINING_LENGTH, config_with, encode, exact_share, open_tokenizer, save,
                    start)
from batches import Packer
from checkpoint import load_model, write_json
from data.documents import CHAT, chat_messages
from data.patterns import Patterns
from documents import characters_for, digits_again, far_repeat, passkey_conversation
from fake_quantization import set_fake_quantization
from members import generation_config
from model import create_model
from optimizer import Optimizer
from train import warm_then, weighted_loss

#: Rows of a short step by their length: fewer where they are longer.
SHORT = [(144, 14), (192, 9), (TRAINING_LENGTH, 7)]
#: Lengths of the long rows, in turn, from a progress on.
LONG = [(0, [2 * TRAINING_LENGTH]), (0.05, [2 * TRAINING_LENGTH, 4 * TRAINING_LENGTH]),
        (0.1, [LONG_LENGTH, LONG_LENGTH, 4 * TRAINING_LENGTH, LONG_LENGTH, 2 * TRAINING_LENGTH])]
#: Length of the cheap rows, and number of those whose positions have gaps.
CHEAP_LENGTH, GAPPED_ROWS = 192, 6
#: Cheap rows of conversations, and how often a task is drawn in them: at the end more often what was forgotten most.
CONVERSATION_ROWS = {'short': 4, 'long': 12}
CONVERSATIONS = {'short': CHAT, 'long': {**CHAT, 'sorting': 14, 'comparison': 5, 'counting': 5, 'days': 4}}
PEAK_RATE = {'short': 0.005, 'long': 0.003}
STEPS = {'short': 600, 'long': 1100}
#: From this progress on, weights are rounded to 4 bits, in turn.
ROUNDED_FROM, ROUNDING = {'short': 0.5, 'long': 0.3}, ('q4_k', 'q4_0', None)


class Rows:
    """Random rows for both trainings, as tensors `[rows, length]` of ids and of weights."""

    def __init__(self, rng, tokenizer):
        self.rng, self.tokenizer = rng, tokenizer
        self.padding_id = generation_config('phi-3-mini')['pad_token_id']
        patterns = Patterns(tokenizer)
        self.pool, self.digits = patterns.pool, patterns.digits
        self.overhead = len(encode(tokenizer, passkey_conversation(rng, 0))[0]) + 8
        self.chats = {}

    def passkey(self, length, least=0.5, share_of_few_digits=0.5):
        """One pass key alone in a row: two in sight of each other would be two answers."""
        room = characters_for(self.tokenizer, length - self.overhead)
        while True:
            characters = self.rng.randint(int(least * room), room)
            ids, weights = encode(self.tokenizer, passkey_conversation(self.rng, characters, share_of_few_digits))
            if len(ids) <= length:
                return ids, weights

    def padded(self, documents, length):
        return (torch.tensor([ids + [self.padding_id] * (length - len(ids)) for ids, _ in documents]),
                torch.tensor([weights + [0.0] * (length - len(ids)) for ids, weights in documents]))

    def passkeys(self, length, rows):
        return self.padded([self.passkey(length) for _ in range(rows)], length)

    def lookups(self, length, rows):
        """Pass keys, and one row in eight each of digits and of pieces that come again."""
        draws = {3: lambda: far_repeat(self.rng, self.pool, length),
                 7: lambda: digits_again(self.rng, self.digits, self.pool, length)}
        first = self.rng.randrange(8)
        return self.padded([draws.get((first + index) % 8, lambda: self.passkey(length))() for index in range(rows)], length)

    def conversations(self, stage):
        """Rows as of nano-mini, with the numbers of the documents in them."""
        if stage not in self.chats:
            conversation = lambda: encode(self.tokenizer, chat_messages(self.rng, weights=CONVERSATIONS[stage]))
            self.chats[stage] = Packer(conversation, CHEAP_LENGTH, self.padding_id)
        return self.chats[stage].batch(CONVERSATION_ROWS[stage])

    def long(self, length):
        """One row with one pass key."""
        return self.padded([self.passkey(length, least=0.8)], length)

    def positions(self, length):
        """Positions with gaps at four random places, which end anywhere between the training length and the long one."""
        last = self.rng.randint(TRAINING_LENGTH, LONG_LENGTH - 1)
        most = last - length + 1
        gaps = sorted(self.rng.randint(0, most) for _ in range(3)) + [most]
        places = sorted(self.rng.randint(1, length - 1) for _ in range(4))
        positions = torch.arange(length)
        before = 0
        for place, gap in zip(places, gaps):
            positions[place:] += gap - before
            before = gap
        return positions


def loss_at(model, positions, ids, weights):
    """The loss of rows whose tokens have these positions."""
    rotary = model.rotary
    model.rotary = lambda _: rotary(positions)
    try:
        return weighted_loss(model, ids, weights)
    finally:
        del model.rotary  # the method of the class again


def short_step(model, rows, step):
    return weighted_loss(model, *rows.lookups(*SHORT[step % len(SHORT)]))


def long_step(model, rows, step, progress):
    """Only pass keys now: what comes again in no order is never learnt as well, and its loss would be most of a step's."""
    if step % 4 == 3:
        return weighted_loss(model, *rows.passkeys(*SHORT[step // 4 % len(SHORT)]))
    lengths = [lengths for start, lengths in LONG if progress >= start][-1]
    length = lengths[(step // 4 * 3 + step % 4) % len(lengths)]
    gapped = rows.positions(CHEAP_LENGTH - 1)  # the last token is only predicted
    return (weighted_loss(model, *rows.long(length))
            + loss_at(model, gapped, *rows.passkeys(CHEAP_LENGTH, GAPPED_ROWS)))


def train(stage, base, factors, seed, threads, steps, out):
    name, is_short = out.name, stage == 'short'
    rng, log, lines, started = start(name, seed, threads)
    contents, tokenizer = open_tokenizer()
    model = create_model(config_with(factors))
    model.load_state_dict(load_model(base).state_dict())
    model.train()
    rows = Rows(rng, tokenizer)

    test_rows = Rows(type(rng)(seed + 1), tokenizer)
    test = {length: [test_rows.passkey(length, 1, 0) for _ in range(2 * TRAINING_LENGTH * 64 // (length + TRAINING_LENGTH))]
            for length in (TRAINING_LENGTH, 2 * TRAINING_LENGTH, LONG_LENGTH)}

    def report(lengths):
        set_fake_quantization(model, None)
        log('pass keys found: ' + ', '.join(f'{100 * exact_share(model, test[length]):.0f} % within {length} tokens'
                                            for length in lengths))

    rate = warm_then(PEAK_RATE[stage], 0.02)
    optimizer = Optimizer(model)
    running = []
    for step in range(steps):
        progress = step / steps
        set_fake_quantization(model, ROUNDING[step % len(ROUNDING)] if progress >= ROUNDED_FROM[stage] else None)
        loss = short_step(model, rows, step) if is_short else long_step(model, rows, step, progress)
        loss += weighted_loss(model, *rows.conversations(stage))
        loss.backward()
        optimizer.step(rate(progress))
        running.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            log(f'step {step + 1}/{steps}  loss {sum(running) / len(running):.4f}  {time.time() - started:.0f} s')
            running = []
        if (step + 1) % (200 if is_short else 100) == 0 or step + 1 == steps:
            report([TRAINING_LENGTH] if is_short else list(test))
            save(out, model, contents)
    seconds = time.time() - started
    log(f'trained in {seconds:.0f} s, {time.process_time():.0f} s of processor time')
    write_json(out / 'training.json', {'name': name, 'seed': seed, 'threads': threads, 'log': lines,
                                       'seconds': round(seconds)})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('stage', choices=list(STEPS))
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--base', type=Path, help='what to start from; default: what the stage before wrote')
    parser.add_argument('--steps', type=int, help='default: ' + ', '.join(f'{count} for {stage}' for stage, count in STEPS.items()))
    parser.add_argument('--factors', type=Path, default=FOLDER / 'factor-search.json', help='result of the search')
    parser.add_argument('--out', type=Path, help='folder to write to; default tools/nano/out/nano-mini-short or nano-mini-long')
    arguments = parser.parse_args()
    stage, short, long = arguments.stage, OUT / 'nano-mini-short', OUT / 'nano-mini-long'
    base = FOLDER.parents[2] / 'packages/nano/models/nano-mini' if stage == 'short' else short
    factors = [1.0] * NUM_PAIRS if stage == 'short' else json.loads(arguments.factors.read_text())['factors']
    train(stage, arguments.base or base, factors, arguments.seed, arguments.threads, arguments.steps or STEPS[stage],
          arguments.out or (short if stage == 'short' else long))
