"""Writes `held-out-questions.json`, what every evaluation asks: `/usr/bin/python3 tools/nano/make_questions.py`.

The file is the same on every machine. Each question carries its operands, so that anyone can check by the hash of
`held_out.py` that no training saw it.
"""

import json
import random
from pathlib import Path

from data.documents import held_out_questions
from data.tasks import TASKS

SEED = 20261121
PER_TASK = 100


def held_out_set():
    """`{task: questions}`; tasks with few different questions have fewer than PER_TASK."""
    return {task: held_out_questions(random.Random(f'{SEED} {task}'), task, PER_TASK) for task in TASKS}


if __name__ == '__main__':
    lines = [json.dumps({'task': question.task, 'operands': question.operands, 'prompt': question.prompt,
                         'answer': question.answer}) for questions in held_out_set().values() for question in questions]
    path = Path(__file__).resolve().parent / 'held-out-questions.json'
    path.write_text('[\n' + ',\n'.join(lines) + '\n]\n', encoding='utf-8')
    print(f'{len(lines)} questions in {path.name}')
