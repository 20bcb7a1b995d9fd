"""Answers questions about drawn pictures with the trainer's own model code: for `evaluate.mjs nano-vision --against-python`.

`/usr/bin/python3 tools/nano/vision/answers.py FOLDER < questions.json` reads an array of `{"split", "index", "question"}` with
the seed, as `{"seed", "questions"}`, draws the pictures itself, and prints a JSON array of `{"prompt", "answer", "picture"}`: the
ids of the prompt, those that follow by greedy decoding in float32, the one that ends it included, and the SHA-256 of the picture.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch

import scenes
from member import NUM_CROPS, Prompts
from phi3_vision import Phi3Vision, hd_transform

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from checkpoint import read_safetensors  # noqa: E402
from model import Cache  # noqa: E402


def load(folder):
    config = json.loads((folder / 'config.json').read_text(encoding='utf-8'))
    model = Phi3Vision(config)
    model.load_state_dict(read_safetensors(folder / 'model.safetensors'))
    return model.eval()


@torch.no_grad()
def answer(model, prompts, stop_ids, pixels, question, max_new_tokens=12):
    """The ids of the prompt and of its greedy continuation."""
    rows = model.model.vision_embed_tokens(*hd_transform(torch.from_numpy(pixels), NUM_CROPS))
    prompt = prompts.before_image() + [-1] * len(rows) + prompts.after_image(question)
    cache = Cache(model.config['num_hidden_layers'])
    logits = model(torch.tensor([prompt]), cache, rows)[0, -1]
    ids = []
    while len(ids) < max_new_tokens:
        ids.append(int(logits.argmax()))
        if ids[-1] in stop_ids:
            break
        logits = model(torch.tensor([[ids[-1]]]), cache)[0, -1]
    return prompt, ids


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    model = load(folder)
    prompts = Prompts(json.loads((folder / 'tokenizer.json').read_text(encoding='utf-8')))
    stop_ids = json.loads((folder / 'generation_config.json').read_text(encoding='utf-8'))['eos_token_id']
    request = json.load(sys.stdin)
    answers = []
    for one in request['questions']:
        pixels, _ = scenes.draw(scenes.scene_of(request['seed'], one['split'], one['index']))
        prompt, ids = answer(model, prompts, stop_ids, pixels, one['question'])
        answers.append({'prompt': prompt, 'answer': ids, 'picture': hashlib.sha256(pixels.tobytes()).hexdigest()})
    print(json.dumps(answers))


if __name__ == '__main__':
    main()
