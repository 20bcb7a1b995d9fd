"""Trains nano-vision from a seed and writes its checkpoint in the published layout.

    python3 tools/nano/vision/train.py --out FOLDER [--seed 1] [--threads 1]

1. The tower alone learns to see: a linear probe on its 2 x 2 features must tell the colour, the shape and the first point
   of each drawn shape. (CLIP's tower was trained before Phi-3-vision too, on texts instead.) The probe is thrown away.
2. The projector and the language model learn to answer, the tower stays.
3. All learns together, the probe helping.

Prints its time and device. The same seed, threads and machine give the same file.
"""
import argparse
import math
import os
import platform
import sys
import time
from pathlib import Path

options = argparse.ArgumentParser(description=__doc__.split('\n')[0])
options.add_argument('--out', type=Path, required=True)
options.add_argument('--seed', type=int, default=1)
options.add_argument('--threads', type=int, default=1)
options.add_argument('--tower-steps', type=int, default=1000)
options.add_argument('--answer-steps', type=int, default=1500)
options.add_argument('--joint-steps', type=int, default=300)
options.add_argument('--resume', type=Path, help='a file of this script, written after each stage as OUT/stage-N.pt')
args = options.parse_args()
# Read when numpy is first imported.
os.environ['OPENBLAS_NUM_THREADS'] = os.environ['OMP_NUM_THREADS'] = str(args.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
import scenes  # noqa: E402
from member import Prompts, configuration, tokenizer_contents, write_member  # noqa: E402
from phi3_vision import CROP, GRID, PATCH, Phi3Vision, merge_2x2, normalise  # noqa: E402

BATCH = 8
QUESTIONS = 12  # of each picture
KEPT = 48  # tokens of each picture in the second stage
TOKEN = 2 * PATCH  # pixels along a token of the prompt
NUM_CLASSES = (1 + len(scenes.COLOURS), len(scenes.SHAPES), 1 + len(scenes.SHAPES))


# --- data -----------------------------------------------------------------------------------------------------------


def picture_batch(index):
    """Pictures `[B, 336, 336, 3]`, what the probe must see `[3, B, 12, 12]`, and the scenes."""
    things_of = [scenes.scene_of(args.seed, 'train', index * BATCH + offset) for offset in range(BATCH)]
    pictures, labels = [], []
    for things in things_of:
        pixels, owner = scenes.draw(things)
        pictures.append(pixels)
        labels.append(probe_labels(things, owner))
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(labels, 1)), things_of


def probe_labels(things, owner):
    """For each token its colour (0: white), its shape (-100: white), and of which shape it holds the first point (0: none).

    The first point is the top of a circle or triangle and the upper left corner of a square: counting shapes is counting
    those, whatever their size.
    """
    side = CROP // TOKEN
    tiles = owner.reshape(side, TOKEN, side, TOKEN)
    areas = np.stack([(tiles == 1 + index).sum((1, 3)) for index in range(len(things))])
    nearest = np.where(areas.max(0) > 20, areas.argmax(0) + 1, 0)
    colour = np.array([0] + [1 + thing['colour'] for thing in things])[nearest]
    shape = np.array([-100] + [thing['shape'] for thing in things])[nearest]
    first = np.zeros((side, side), np.int64)
    for thing in things:
        left = thing['x'] - (thing['radius'] if scenes.SHAPES[thing['shape']] == 'square' else 0)
        first[(thing['y'] - thing['radius']) // TOKEN, left // TOKEN] = 1 + thing['shape']
    return np.stack([colour, shape, first])


def question_batch(index, things_of, prompts):
    """Ids `[B, Q, T]` of questions with answers, and the same shifted by one where an answer is asked for, else -100."""
    rows = []
    for offset, things in enumerate(things_of):
        random = scenes.Random(scenes.fnv1a(f'{args.seed}/questions/{index * BATCH + offset}'))
        asked = scenes.questions_of(things)
        for turn in range(QUESTIONS):
            kind = scenes.KINDS[turn % len(scenes.KINDS)]
            of_kind = [one for one in asked if one[0] == kind] or asked
            _, question, answer = scenes.pick_question(of_kind, random)
            rows.append((prompts.after_image(question), prompts.answer(answer)))
    length = max(len(question) + len(answer) for question, answer in rows) - 1
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    targets = torch.full((len(rows), length), -100)
    for row, (question, answer) in enumerate(rows):
        whole = question + answer
        ids[row, : len(whole) - 1] = torch.tensor(whole[:-1])
        targets[row, len(question) - 1 : len(whole) - 1] = torch.tensor(answer)
    return ids.view(BATCH, QUESTIONS, -1), targets.view(BATCH, QUESTIONS, -1)


def kept_rows(labels):
    """Rows of the prompt `[B, KEPT]`: of one of the two views, the tokens with shapes, and white ones at random.

    White is nine tenths of a picture, and before anything is learnt attention sees little else.
    """
    is_drawn = (labels[0] > 0).flatten(1)
    order = (is_drawn + torch.rand(is_drawn.shape)).argsort(1, descending=True)[:, :KEPT].sort(1).values
    side = CROP // TOKEN
    row = order + order // side  # a separator ends each row of tokens
    return row + (side * (side + 1) + 1) * torch.randint(0, 2, (len(row), 1))


# --- beginnings -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def prepare_tower(tower):
    """Patch filters that whiten the patches of drawn pictures, and positions that are sines of row and column.

    Learning starts where it would arrive after a long time: neighbouring pixels are alike, so random filters all see the
    same. The kernel has no bias; the mean goes into the positions.
    """
    pixels = torch.from_numpy(np.stack([scenes.draw(scenes.scene_of(args.seed, 'whitening', i))[0] for i in range(200)]))
    patches = normalise(pixels).reshape(-1, 3, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(-1, 3 * PATCH**2)
    white = normalise(torch.full((PATCH, PATCH, 3), 255)).flatten()
    patches = patches[(patches - white).abs().amax(1) > 0.01]
    mean = patches.mean(0)
    width = tower.embeddings.class_embedding.shape[0]
    values, vectors = torch.linalg.eigh(((patches - mean).T @ (patches - mean) / len(patches)).double())
    values, vectors = values[-width:], vectors[:, -width:]
    whitening = (vectors / (values + 0.02 * values[-4]).sqrt()).T.float()
    kernel = torch.linalg.qr(torch.randn(width, width))[0] @ whitening
    tower.embeddings.patch_embedding.weight.copy_(kernel.view(width, 3, PATCH, PATCH))
    frequencies = 100 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(GRID)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    grid = torch.cat([waves[:, None].expand(GRID, GRID, -1), waves[None].expand(GRID, GRID, -1)], -1).flatten(0, 1)
    positions = tower.embeddings.position_embedding.weight
    positions.zero_()
    positions[1:] = 0.5 * grid - kernel @ mean


@torch.no_grad()
def prepare_projector(projection, probe):
    """The projector begins with what the probe found: mixtures of its directions, and a little of everything else."""
    directions = functional.normalize(probe.weight, dim=1)
    mixtures = functional.normalize(torch.randn(len(projection[0].weight), len(directions)), dim=1)
    projection[0].weight.mul_(0.5).add_(mixtures @ directions)
    projection[0].weight.mul_(0.25)  # features spread by about four along those directions


# --- training -------------------------------------------------------------------------------------------------------


def probe_losses(probe, merged, labels):
    """Losses and, for the log, shares of right answers."""
    outputs = probe(merged).flatten(0, 2).split(NUM_CLASSES, -1)
    weights = (None, None, torch.tensor([0.3, 1, 1, 1]))
    colour, shape, first = (
        functional.cross_entropy(output, label.flatten(), weight)
        for output, label, weight in zip(outputs, labels, weights)
    )
    seen = [output.argmax(-1) == label.flatten() for output, label in zip(outputs, labels)]
    shown = labels[0].flatten() > 0, labels[2].flatten() > 0
    log = {'colour': seen[0].float().mean(), 'shape': seen[1][shown[0]].float().mean(), 'first': seen[2][shown[1]].float().mean()}
    return colour + shape + 2 * first, log


def run_stage(name, steps, first_index, groups, step_losses):
    """AdamW with a warm-up and a decay to nothing; `groups` are pairs of weights and learning rate."""
    optimizer = torch.optim.AdamW(
        [{'params': list(weights), 'lr': rate, 'peak': rate} for weights, rate in groups],
        betas=(0.9, 0.95), weight_decay=0.01,
    )
    every = [weight for group in optimizer.param_groups for weight in group['params']]
    started, logs = time.time(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group['lr'] = group['peak'] * min(1, (step + 1) / 40) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        loss, log = step_losses(first_index + step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(every, 1)
        optimizer.step()
        logs.append({'loss': loss.detach(), **log})
        if (step + 1) % 50 == 0 or step + 1 == steps:
            means = {key: float(torch.stack([log[key] for log in logs if not log[key].isnan()]).mean()) for key in logs[0]}
            text = '  '.join(f'{key} {value:.3f}' for key, value in means.items())
            print(f'{name} {step + 1}/{steps}  {text}  {time.time() - started:.0f} s', flush=True)
            logs = []


def main():
    started = time.time()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_contents()
    prompts = Prompts(tokenizer)
    model = Phi3Vision(configuration(tokenizer)).train()
    images = model.model.vision_embed_tokens
    tower = images.img_processor.vision_model
    prepare_tower(tower)
    probe = nn.Linear(4 * tower.embeddings.class_embedding.shape[0], sum(NUM_CLASSES))
    done = 0
    if args.resume:
        saved = torch.load(args.resume)
        model.load_state_dict(saved['model'])
        probe.load_state_dict(saved['probe'])
        done = saved['stage']
    tower_weights = [*tower.parameters()]
    of_tower = {id(weight) for weight in tower_weights}
    other_weights = [weight for weight in model.parameters() if id(weight) not in of_tower]
    before = torch.tensor(prompts.before_image())

    def save(stage):
        torch.save({'model': model.state_dict(), 'probe': probe.state_dict(), 'stage': stage}, args.out / f'stage-{stage}.pt')

    def answer_loss(index, merged, things_of, kept=None):
        ids, targets = question_batch(index, things_of, prompts)
        logits = model.forward_questions(before, images.of_single_crops(merged), ids, kept).flatten(0, 2)
        asked = targets.flatten() >= 0
        logits, wanted = logits[asked], targets.flatten()[asked]
        with torch.no_grad():
            # An answer is right when all its ids are; each ends with the id of <|end|>.
            wrong = torch.zeros_like(targets, dtype=torch.bool).flatten()
            wrong[asked] = logits.argmax(-1) != wanted
            right = ~wrong.view(*targets.shape).any(-1)
            kinds = torch.arange(QUESTIONS) % len(scenes.KINDS)
            log = {kind: right[:, kinds == number].float().mean() for number, kind in enumerate(scenes.KINDS)}
        return functional.cross_entropy(logits, wanted), log

    def tower_step(index):
        pixels, labels, _ = picture_batch(index)
        return probe_losses(probe, merge_2x2(tower(normalise(pixels))), labels)

    def answer_step(index):
        pixels, labels, things_of = picture_batch(index)
        with torch.no_grad():
            merged = merge_2x2(tower(normalise(pixels)))
        return answer_loss(index, merged, things_of, kept_rows(labels))

    def joint_step(index):
        pixels, labels, things_of = picture_batch(index)
        merged = merge_2x2(tower(normalise(pixels)))
        loss, log = answer_loss(index, merged, things_of)
        return loss + 0.2 * probe_losses(probe, merged, labels)[0], log

    if done < 1:
        run_stage('tower', args.tower_steps, 0, [(tower_weights, 3e-3), (probe.parameters(), 3e-3)], tower_step)
        save(1)
    if done < 2:
        torch.manual_seed(args.seed)
        prepare_projector(images.img_projection, probe)
        run_stage('answers', args.answer_steps, args.tower_steps, [(other_weights, 7e-4)], answer_step)
        save(2)
    run_stage('together', args.joint_steps, args.tower_steps + args.answer_steps,
              [(other_weights, 3e-4), (tower_weights, 2e-4), (probe.parameters(), 2e-4)], joint_step)
    save(3)
    write_member(args.out, model, tokenizer)
    print(f'{time.time() - started:.0f} s on {platform.processor() or platform.machine()}, {args.threads} thread(s), '
          f'torch {torch.__version__}, seed {args.seed}: {args.out}')


main()
