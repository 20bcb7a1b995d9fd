"""Answers questions with the trainer's own model code, for the comparison in `evaluate.mjs --against-python`.

`/usr/bin/python3 tools/nano/answers.py FOLDER < questions.json` reads a JSON array of `{"prompt", "maxNewTokens"}`, a prompt being a list
of token ids, and prints a JSON array of `{"answer"}`: the ids that follow, by greedy decoding in float32 with a key/value cache, the stop id
included.
"""

import json
import sys
from pathlib import Path

import torch

from checkpoint import load_model
from model import generate

if __name__ == '__main__':
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    model = load_model(folder)
    stop_ids = json.loads((folder / 'generation_config.json').read_text(encoding='utf-8'))['eos_token_id']
    print(json.dumps([{'answer': generate(model, asked['prompt'], stop_ids, asked['maxNewTokens'])}
                      for asked in json.load(sys.stdin)]))
