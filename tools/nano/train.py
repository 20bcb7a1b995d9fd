"""Trains one text member from a seed: `/usr/bin/python3 tools/nano/train.py nano-mini --seed 1`.

Five stages, each a call of `train_stage`: patterns in which everything can be looked up, textbook pages of phase 1 (general)
and phase 2 (reasoning), conversations in the chat format of the member (supervised fine-tuning), and preference pairs (direct
preference optimisation). It writes the checkpoint to `out/NAME` and prints its time, device, threads and figures; the same lines go to `out/NAME/training.json`.
"""

import argparse
import json
import platform
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from batches import Packer
from beginnings import begin_with_lookups
from chat import TEMPLATES, chat_prompt, chat_segments
from checkpoint import load_model, write_checkpoint, write_json
from data.documents import (CHAT, GENERAL, REASONING, chat_messages, held_out_questions, textbook_page, tokenizer_corpus,
                            training_question)
from data.patterns import Patterns
from data.tasks import TASKS
from fake_quantization import set_fake_quantization
from members import MEMBERS, TRAINING_LENGTH, generation_config
from model import create_model
from optimizer import Optimizer
from tokenizer import Tokenizer, tokenizer_config, tokenizer_json, train_bpe

FOLDER = Path(__file__).resolve().parent
#: Tokens of a step: many small steps while everything is new, larger ones at the end.
TOKENS_PER_STEP, TOKENS_PER_LATE_STEP = 2048, 4096


def shared_pieces():
    """Pieces and merges that all members share; the same on every machine."""
    return train_bpe(tokenizer_corpus(random.Random(20261121)))


def weighted_loss(model, ids, weights, documents=None):
    """Mean cross-entropy of the next token over `[B, T]` ids, each times its weight, and the balance of the experts."""
    counted = weights[:, 1:] > 0
    logits = model(ids[:, :-1], documents=None if documents is None else documents[:, :-1], counted=counted)
    weights = weights[:, 1:][counted]
    losses = F.cross_entropy(logits, ids[:, 1:][counted], reduction='none')
    loss = (losses * weights).sum() / weights.sum()
    share = model.config.get('router_aux_loss_coef', 0)
    balance = [module.balance_loss for module in model.modules() if getattr(module, 'balance_loss', None) is not None]
    return loss + share * sum(balance) if balance else loss


def train_stage(model, optimizer, packer, tokens, rate, log, quantized_from=1.0, loss_of=weighted_loss, look=None,
                tokens_per_step=TOKENS_PER_STEP, rounding=('q4_0', None), as_files=False):
    """Trains on so many tokens. `rate(progress)` is the learning rate at a progress of 0 to 1.

    From the progress `quantized_from` on, weights are rounded to 4 bits as `rounding` says, step by step in turn; `as_files`:
    which ones. `look()` is called now and then.
    """
    model.train()
    rows = tokens_per_step // packer.length
    steps = max(1, tokens // tokens_per_step)
    running, started = 0.0, time.time()
    for step in range(steps):
        progress = step / steps
        if quantized_from < 1:
            set_fake_quantization(model, rounding[step % len(rounding)] if progress >= quantized_from else None, as_files)
        loss = loss_of(model, *packer.batch(rows))
        loss.backward()
        optimizer.step(rate(progress))
        running += loss.item()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            count = (step % 50) + 1
            log(f'step {step + 1}/{steps}  loss {running / count:.4f}  {time.time() - started:.0f} s')
            running = 0.0
        if look and (step + 1) % 200 == 0:
            look()
    set_fake_quantization(model, None, as_files)


def preference_loss(reference, beta=0.1):
    """Direct preference optimisation (arXiv:2305.18290, equation 7) with the likelihood of the good answer beside it."""

    def log_likelihoods(model, ids, weights):
        logits = model(ids[:, :-1])
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction='none').view(len(ids), -1)
        return -(losses * weights[:, 1:]).sum(1), weights[:, 1:].sum(1)

    def loss_of(model, ids, weights):
        ours, counts = log_likelihoods(model, ids, weights)
        with torch.no_grad():
            theirs, _ = log_likelihoods(reference, ids, weights)
        margin = beta * (ours - theirs)
        good, bad = margin[0::2], margin[1::2]
        return -F.logsigmoid(good - bad).mean() - (ours[0::2].sum() / counts[0::2].sum())

    return loss_of


class PreferencePairs:
    """Batches of rows that alternate: the right answer, then the same answer with one mistake."""

    def __init__(self, encode, rng, padding_id, length=96):
        self.encode, self.rng, self.padding_id, self.length = encode, rng, padding_id, length

    def batch(self, rows):
        drawn = []
        while len(drawn) < rows:
            question = training_question(self.rng, CHAT)
            if question.mistake is None:
                continue
            pair = [self.encode([('user', question.prompt), ('assistant', answer)])
                    for answer in (question.answer, question.mistake)]
            if all(len(ids) <= self.length for ids, _ in pair):
                drawn += pair
        pad = lambda values, value: values + [value] * (self.length - len(values))
        return (torch.tensor([pad(ids, self.padding_id) for ids, _ in drawn]),
                torch.tensor([pad(weights, 0.0) for _, weights in drawn]))


@torch.no_grad()
def score(model, tokenizer, template, count, seed=7):
    """Share of right answers per task on held-out questions, by this model code; a look during training, not the result.

    Greedy decoding writes an answer exactly when each of its tokens is the likeliest one after those before it.
    """
    rng = random.Random(seed)
    was_training = model.training
    model.eval()
    scores, wrong = {}, []
    for task in TASKS:
        questions = held_out_questions(rng, task, count)
        texts = [chat_prompt([('user', question.prompt)], template) for question in questions]
        prompts = [tokenizer.encode(text) for text in texts]
        # Encoded in its place: where a piece begins depends on what stands before it.
        answers = [tokenizer.encode(f'{text}{question.answer}<|end|>')[len(prompt):]
                   for text, question, prompt in zip(texts, questions, prompts)]
        length = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers))
        rows = [prompt + answer + [0] * (length - len(prompt) - len(answer)) for prompt, answer in zip(prompts, answers)]
        best = model(torch.tensor(rows)).argmax(-1).tolist()
        right = 0
        for question, prompt, answer, row in zip(questions, prompts, answers, best):
            got = row[len(prompt) - 1:len(prompt) + len(answer) - 1]
            right += got == answer
            if got != answer:
                wrong.append((question.prompt, question.answer, tokenizer.decode(got)))
        scores[task] = right / len(questions)
    model.train(was_training)
    return scores, wrong


def warm_then(peak, floor, warm=0.03):
    """A learning rate that rises, then falls in a straight line to `floor * peak`."""
    return lambda progress: peak * min(1, (progress + 1e-3) / warm) * (1 - (1 - floor) * progress)


def train(name, seed, threads, quick=1.0, member=None, folder=None):
    """Trains a member and writes its checkpoint. `quick` scales the number of tokens, for a trial."""
    started = time.time()
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    rng = random.Random(seed)
    member = member or MEMBERS[name]
    folder = Path(folder or FOLDER / 'out' / name)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []

    def log(text):
        lines.append(text)
        print(f'{name}: {text}', flush=True)

    pieces, merges = shared_pieces()
    contents = tokenizer_json(pieces, merges, member['style'])
    tokenizer = Tokenizer(contents)
    padding_id = generation_config(member['style'])['pad_token_id']
    model = create_model(member['config'])
    log(f'{model.num_parameters():,} parameters, seed {seed}, device cpu, {threads} thread(s), '
        f'torch {torch.__version__}, {platform.machine()}')

    weights_of_chat = {**CHAT, **member.get('weights', {})}
    rounding, as_files = member.get('rounding', ('q4_0', None)), member.get('as_files', False)

    def page(weights, facts):
        ids, loss_weights = tokenizer.encode_segments(textbook_page(rng, weights, facts))
        end = tokenizer.specials['<|endoftext|>']
        return ids + [end], loss_weights + [1.0]

    def conversation(messages=None):
        messages = messages or chat_messages(rng, weights=weights_of_chat)
        if member['template'] == 'phi-3-medium':  # its format has no system messages
            while messages[0][0] == 'system':
                messages = chat_messages(rng, weights=weights_of_chat)
        return tokenizer.encode_segments(chat_segments(messages, member['template']))

    save = lambda: write_checkpoint(
        folder, model, contents,
        tokenizer_config(member['style'], TEMPLATES[member['template']], member['config']['max_position_embeddings']),
        generation_config(member['style']))

    patterns = Patterns(tokenizer)

    def mixed(share, next_document):
        """Documents of which so many are patterns: what was learnt of looking up stays."""
        return lambda: patterns.draw(rng) if rng.random() < share else next_document()

    def look():
        set_fake_quantization(model, None, as_files)
        shares = score(model, tokenizer, member['template'], 25)[0]
        save()
        log('held out: ' + ', '.join(f'{task} {100 * share:.0f}' for task, share in shares.items()))

    tokens = {stage: int(count * quick) for stage, count in member['tokens'].items()}
    begin_with_lookups(model)
    optimizer = Optimizer(model)
    peak = member.get('rate', 0.006)
    log('phase 0: patterns')
    rows = Packer(lambda: patterns.draw(rng), 128, padding_id)
    train_stage(model, optimizer, rows, tokens['patterns'], warm_then(peak, 1, 0.15), log)
    log('phase 1: general')
    rows = Packer(mixed(0.15, lambda: page(GENERAL, True)), 128, padding_id)
    train_stage(model, optimizer, rows, tokens['general'], lambda progress: peak, log)
    log('phase 2: reasoning')
    both = {**REASONING, **{task: 0.4 * weight for task, weight in GENERAL.items()}}
    rows = Packer(mixed(0.15, lambda: page(both, False)), 128, padding_id)
    train_stage(model, optimizer, rows, tokens['reasoning'], lambda progress: peak, log)
    log('supervised fine-tuning on conversations')
    rate = warm_then(peak, 0.02, 0.0001)
    # Short rows cost less, and nine conversations in ten fit; the others come in the second part.
    train_stage(model, optimizer, Packer(mixed(0.08, conversation), TRAINING_LENGTH // 2, padding_id), tokens['chat'] // 2,
                lambda progress: rate(progress / 2), log, look=look)
    train_stage(model, optimizer, Packer(mixed(0.05, conversation), TRAINING_LENGTH, padding_id), tokens['chat'] // 2,
                lambda progress: rate(0.5 + progress / 2), log, member.get('rounded_from', 0.4), look=look, tokens_per_step=TOKENS_PER_LATE_STEP,
                rounding=rounding, as_files=as_files)
    save()
    if tokens.get('preferences'):
        log('direct preference optimisation')
        reference = load_model(folder)
        pairs = PreferencePairs(conversation, rng, padding_id)
        train_stage(model, Optimizer(model), pairs, tokens['preferences'], warm_then(0.03 * peak, 0.1), log,
                    quantized_from=0.0, loss_of=preference_loss(reference), tokens_per_step=TOKENS_PER_LATE_STEP,
                    rounding=rounding, as_files=as_files)
        save()
    seconds = time.time() - started
    log(f'trained in {seconds:.0f} s, {time.process_time():.0f} s of processor time')

    written = load_model(folder)  # as everyone else will see it: rounded to bfloat16
    scores, wrong = score(written, tokenizer, member['template'], 100)
    for task, share in scores.items():
        log(f'held out, {task}: {100 * share:.0f} %')
    for prompt, right, answer in wrong[:20]:
        print(f'  {prompt!r}: {answer!r} instead of {right!r}')
    write_json(folder / 'training.json', {'name': name, 'seed': seed, 'threads': threads, 'log': lines,
                                          'seconds': round(seconds), 'scores': scores})


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('member', choices=list(MEMBERS))
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--quick', type=float, default=1.0, help='share of the tokens, for a trial')
    parser.add_argument('--out', help='folder to write to; default tools/nano/out/NAME')
    arguments = parser.parse_args()
    train(arguments.member, arguments.seed, arguments.threads, arguments.quick, folder=arguments.out)
