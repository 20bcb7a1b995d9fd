"""What the scripts of nano-mini-long share."""

import platform
import random
import sys
import time
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from chat import TEMPLATES, chat_segments  # noqa: E402
from checkpoint import write_checkpoint  # noqa: E402
from members import MEMBERS, TRAINING_LENGTH, generation_config  # noqa: E402
from tokenizer import Tokenizer, tokenizer_config, tokenizer_json  # noqa: E402
from train import shared_pieces  # noqa: E402

STYLE = TEMPLATE = 'phi-3-mini'
#: Eight times the length of the training.
LONG_LENGTH = 8 * TRAINING_LENGTH
BASE_CONFIG = MEMBERS['nano-mini']['config']
NUM_PAIRS = BASE_CONFIG['hidden_size'] // BASE_CONFIG['num_attention_heads'] // 2
OUT = FOLDER.parent / 'out'


def config_with(long_factor):
    """nano-mini's with what Phi-3-mini-128k-instruct changes: two lists, eight times the first length, a window beyond it."""
    return {**BASE_CONFIG, 'max_position_embeddings': LONG_LENGTH, 'original_max_position_embeddings': TRAINING_LENGTH,
            'sliding_window': 2 * LONG_LENGTH,
            'rope_scaling': {'type': 'longrope', 'short_factor': [1.0] * NUM_PAIRS, 'long_factor': list(long_factor)}}


def start(name, seed, threads):
    """Seeds everything. Returns `(rng, log, lines, started)`."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    lines = []

    def log(text):
        lines.append(text)
        print(f'{name}: {text}', flush=True)

    log(f'seed {seed}, device cpu, {threads} thread(s), torch {torch.__version__}, {platform.machine()}')
    return random.Random(seed), log, lines, time.time()


def open_tokenizer():
    """`(contents of tokenizer.json, tokenizer)`: the pieces of all members."""
    contents = tokenizer_json(*shared_pieces(), STYLE)
    return contents, Tokenizer(contents)


def encode(tokenizer, messages):
    return tokenizer.encode_segments(chat_segments(messages, TEMPLATE))


def save(folder, model, contents):
    write_checkpoint(folder, model, contents, tokenizer_config(STYLE, TEMPLATES[TEMPLATE], LONG_LENGTH),
                     generation_config(STYLE))


@torch.no_grad()
def exact_share(model, documents):
    """The share of `(ids, weights)` documents in which every token that counts is the likeliest one."""
    was_training = model.training
    model.eval()
    right = 0
    for ids, weights in documents:
        best = model(torch.tensor([ids[:-1]]))[0].argmax(-1)
        counts = torch.tensor(weights[1:]) > 0
        right += bool((best == torch.tensor(ids[1:]))[counts].all())
    model.train(was_training)
    return right / len(documents)
