"""Trains nano-vision from a seed and writes its checkpoint in the published layout.

    python3 tools/nano/vision/train.py --out FOLDER [--seed 1] [--threads 1]

1. "reads": the language model learns to answer questions about rows that are sums of the embeddings of two words, a colour
   and a shape, one such row for a shape, among rows that are the embedding of `<|image|>`. No picture is drawn for that.
2. "rounds": the same, with the weights rounded to 4 bits in every second step.
3. "sees": the tower and the projector learn to make those rows of pictures. (CLIP's tower was trained on words before
   Phi-3-vision too.)
4. "together": all of it learns to answer questions about pictures, with the same rounding. The embeddings stay as they began.

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
options.add_argument('--reads-steps', type=int, default=1000)
options.add_argument('--rounds-steps', type=int, default=500)
options.add_argument('--sees-steps', type=int, default=500)
options.add_argument('--together-steps', type=int, default=150)
options.add_argument('--resume', type=Path, nargs='*', default=[], help='files of this script, OUT/STAGE.pt: stages not to repeat')
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from fake_quantization import set_fake_quantization  # noqa: E402
from optimizer import Optimizer  # noqa: E402

BATCH = 8
QUESTIONS = 12  # of each picture
TURNS = ('colour', 'shape', 'count', 'count')
KEPT = {'reads': 24, 'sees': 48}  # tokens of each picture that take part in most of the training
CROWD = 7  # shapes in a picture of the second stage, at most
SIDE = GRID // 2  # tokens along a side of the picture
SHARED, LOOK_BACK, SLOW_LENGTH, LIKENESS, PICTURES = 4, 10, 350, 1.2, 2.4  # of `prepare_attention`
NOISE = 0.3  # in the rows of the first stage; an element of an embedding is about one


# --- data -----------------------------------------------------------------------------------------------------------


def scenes_of(index, most=4):
    return [scenes.scene_of(args.seed, 'train', index * BATCH + offset, most) for offset in range(BATCH)]


def draw_all(things_of):
    """Pictures `[B, 336, 336, 3]`."""
    return torch.from_numpy(np.stack([scenes.draw(things)[0] for things in things_of]))


def marks_of(things_of):
    """Of each token `[B, 12, 12]` the colour and the shape whose mark it holds, both from 1; 0 where there is none."""
    marks = torch.zeros(2, len(things_of), SIDE, SIDE, dtype=torch.long)
    for picture, things in enumerate(things_of):
        for thing in things:
            x, y = scenes.mark_of(*(thing[key] for key in ('shape', 'x', 'y', 'radius')))
            marks[:, picture, y // scenes.TOKEN, x // scenes.TOKEN] = torch.tensor([1 + thing['colour'], 1 + thing['shape']])
    return marks


def question_batch(index, things_of, prompts):
    """Ids `[B, Q, T]` of questions with answers, the same shifted by one where an answer is asked for, else -100, kinds `[B, Q]`."""
    rows = []
    for offset, things in enumerate(things_of):
        random = scenes.Random(scenes.fnv1a(f'{args.seed}/questions/{index * BATCH + offset}'))
        asked = scenes.questions_of(things)
        for turn in range(QUESTIONS):
            of_kind = [one for one in asked if one[0] == TURNS[turn % len(TURNS)]] or asked
            rows.append(scenes.pick_question(of_kind, random))
    ids, targets = prompts.rows([(question, answer) for _, question, answer in rows])
    kinds = torch.tensor([scenes.KINDS.index(kind) for kind, _, _ in rows])
    return (each.view(len(things_of), QUESTIONS, -1).squeeze(-1) for each in (ids, targets, kinds))


def kept_tokens(count, marks, pictures=None):
    """Tokens of each crop `[B, count]`: all with marks, and others at random, rather those on which something is drawn."""
    order = 2 * (marks[0] > 0).flatten(1) + torch.rand(len(marks[0]), SIDE * SIDE)
    if pictures is not None:
        tiles = pictures.view(-1, SIDE, scenes.TOKEN, SIDE, scenes.TOKEN * 3)
        order = order + 0.5 * (tiles < 255).any(4).any(2).flatten(1)
    return order.argsort(1, descending=True)[:, :count].sort(1).values


def prompt_rows(tokens):
    """Where tokens of a crop `[B, K]` are in the prompt, in both views: `[B, 2 K]`."""
    row = tokens + tokens // SIDE  # a separator ends each row of tokens
    return torch.cat([row, row + SIDE * (SIDE + 1) + 1], 1)


def prompt_weights(marks, tokens):
    """How many rows of the prompt those of `prompt_rows` stand for: one each with a mark, all blank ones together the rest."""
    is_mark = (marks[0] > 0).flatten(1).gather(1, tokens).repeat(1, 2)
    num_marks = is_mark.sum(1, keepdim=True)
    return torch.where(is_mark, 1.0, (2 * SIDE * (SIDE + 1) + 1 - num_marks) / (is_mark.shape[1] - num_marks))


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
def prepare_attention(model, prompts):
    """Attention that begins able to look up a question's word in the picture, as that of the text members does.

    Head 0 of layer 0 looks as far back as the word before the question mark is from where the answer begins (see
    `../beginnings.py`: all embeddings share a component, which makes a score of the distance alone). Layer 1 searches for what
    that head carries, in pairs that hardly turn within a prompt, and copies what it finds, rather from the picture than from
    the question. Plurals begin like singulars.
    """
    config = model.config
    hidden, num_heads = config['hidden_size'], config['num_attention_heads']
    dim = hidden // num_heads
    embeddings = model.model.embed_tokens.weight
    for shape in scenes.SHAPES:
        embeddings[prompts.word(f'{shape}s')].mul_(0.44).add_(0.9 * embeddings[prompts.word(shape)])
    directions = torch.linalg.qr(torch.randn(hidden, 1 + 2 * dim))[0]
    shared, room, read = directions.split([1, dim, dim], 1)  # embeddings leave room for what head 0 carries
    embeddings -= embeddings @ room @ room.T + embeddings @ shared @ shared.T
    embeddings.mul_(hidden**0.5 / embeddings.norm(dim=1, keepdim=True))  # or the shared part would differ after RMSNorm
    embeddings += SHARED * shared.T

    distance = len(prompts.after_image('?')) - 3  # the word stands before the question mark
    frequencies = config['rope_theta'] ** (-2 * torch.arange(dim // 2) / dim)
    is_fast, angles = frequencies > 0.02, -distance * frequencies
    length = (LOOK_BACK * dim**0.5) ** 0.5 / SHARED
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    queries, keys, values = (weight[:dim] for weight in first.qkv_proj.weight.chunk(3))
    queries.mul_(0.1).add_(length * torch.cat([angles.cos() * is_fast, angles.sin() * is_fast])[:, None] @ shared.T)
    keys.mul_(0.1).add_(length * torch.cat([is_fast.float(), torch.zeros(dim // 2)])[:, None] @ shared.T)
    values.copy_(read.T)
    first.o_proj.weight[:, :dim] = 2 * room

    slow = (frequencies * SLOW_LENGTH < 1).nonzero().flatten()
    slow = torch.cat([slow, slow + dim // 2])
    queries, keys, values = second.qkv_proj.weight.chunk(3)
    for head in range(num_heads):
        alike = LIKENESS * torch.linalg.qr(torch.randn(dim, len(slow)))[0].T
        rows = head * dim + slow
        queries[rows], keys[rows] = alike @ room.T + 0.1 * queries[rows], alike @ read.T + 0.1 * keys[rows]
        # Sums of two embeddings have more of what all share.
        queries[rows[-1]], keys[rows[-1]] = PICTURES * shared[:, 0], PICTURES * shared[:, 0]
        if head >= num_heads // 2:  # counting is seeing how much there is beside what is found
            queries[rows], keys[rows] = 0.65 * queries[rows], 0.65 * keys[rows]
    values.copy_(torch.linalg.qr(torch.randn(hidden, hidden))[0])
    second.o_proj.weight.copy_(values.T)


# --- training -------------------------------------------------------------------------------------------------------


class Words:
    """The embeddings that rows of a picture are taught to be: of `<|image|>`, or of a colour's word plus a shape's.

    Marks are `[2, ...]`, rows `[..., C]`.
    """

    def __init__(self, model, prompts):
        self.weight = model.model.embed_tokens.weight
        self.blank = prompts.tokenizer.specials['<|image|>']
        self.ids = [torch.tensor([self.blank] + [prompts.word(word) for word in words])
                    for words in (scenes.COLOURS, scenes.SHAPES)]

    def rows(self, marks):
        colours, shapes = (self.weight[ids[of]] for ids, of in zip(self.ids, marks))
        return torch.where((marks[0] > 0)[..., None], colours + shapes, self.weight[self.blank])

    def losses(self, rows, marks):
        """How far rows are from those, and for the log the share of marks seen and of blank rows taken for marks."""
        is_mark = marks[0] > 0
        distance = (rows - self.rows(marks).detach()).square().mean(-1)
        loss = distance[is_mark].mean() + distance[~is_mark].mean()
        right = []
        for ids, of in zip(self.ids, marks):
            logits = rows @ self.weight[ids].detach().T / 32
            each = functional.cross_entropy(logits.flatten(0, -2), of.flatten(), reduction='none').view_as(of)
            loss = loss + each[is_mark].mean() + 10 * each[~is_mark].mean()
            right.append(logits.argmax(-1) == of)
        both = right[0] & right[1]
        log = {'marks': both[is_mark].float().mean(), 'false': (~both[~is_mark]).float().mean()}
        return loss, log


def run_stage(name, model, steps, first_index, peak, step_losses, quantized_from=1.0):
    """Muon and Adam with a warm-up and a straight way down."""
    optimizer = Optimizer(model)
    started, logs = time.time(), []
    for step in range(steps):
        progress = step / steps
        set_fake_quantization(model, 'q4_0' if progress >= quantized_from and step % 2 == 1 else None)
        loss, log = step_losses(first_index + step, progress)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step(peak * min((step + 1) / (0.04 * steps + 1), 1.01 - progress))
        logs.append({'loss': loss.detach(), **log})
        if (step + 1) % 50 == 0 or step + 1 == steps:
            means = {key: float(torch.stack([log[key] for log in logs if not log[key].isnan()]).mean()) for key in logs[0]}
            text = '  '.join(f'{key} {value:.3f}' for key, value in means.items())
            print(f'{name} {step + 1}/{steps}  {text}  {time.time() - started:.0f} s, {time.process_time():.0f} s of processor',
                  flush=True)
            logs = []
    set_fake_quantization(model, None)


@torch.no_grad()
def held_out_score(model, prompts, count=300):
    """Shares of right answers to held-out questions, with PyTorch in float32, by kind."""
    model.eval()
    images = model.model.vision_embed_tokens
    before = torch.tensor(prompts.before_image())
    right = {kind: [] for kind in scenes.KINDS}
    for one in scenes.exam(args.seed, 'held-out', count):
        merged = merge_2x2(images.img_processor.vision_model(normalise(draw_all([one['things']]))))
        ids, targets = prompts.rows([(one['question'], one['answer'])])
        logits = model.forward_questions(before, images.of_single_crops(merged), ids[None])[0]
        right[one['kind']].append(bool((logits.argmax(-1) == targets)[targets >= 0].all()))
    model.train()
    return '  '.join(f'{kind} {sum(each) / len(each):.3f}' for kind, each in right.items())


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
    prepare_attention(model, prompts)
    with torch.no_grad():
        model.lm_head.weight.copy_(model.model.embed_tokens.weight / 16)  # copying a word begins as saying it
    words = Words(model, prompts)
    before = torch.tensor(prompts.before_image())
    done = set()
    for file in args.resume:
        saved = torch.load(file)
        missing = model.load_state_dict(saved['model'], strict=False)
        assert not missing.unexpected_keys
        done.add(saved['stage'])

    def save(stage, kept):
        state = {key: value for key, value in model.state_dict().items() if kept(key)}
        torch.save({'model': state, 'stage': stage}, args.out / f'{stage}.pt')

    def answer_loss(index, image_rows, things_of, kept=None, weights=None):
        ids, targets, kinds = question_batch(index, things_of, prompts)
        logits = model.forward_questions(before, image_rows, ids, kept, weights).flatten(0, 2)
        asked = targets.flatten() >= 0
        logits, wanted = logits[asked], targets.flatten()[asked]
        with torch.no_grad():
            # An answer is right when all its ids are; each ends with the id of <|end|>.
            wrong = torch.zeros_like(targets, dtype=torch.bool).flatten()
            wrong[asked] = logits.argmax(-1) != wanted
            right = ~wrong.view(*targets.shape).any(-1)
            log = {kind: right[kinds == number].float().mean() for number, kind in enumerate(scenes.KINDS)}
        return functional.cross_entropy(logits, wanted), log

    def arranged(rows):
        """Rows `[B, 12, 12, C]` as those of a prompt with one crop, `[B, 313, C]`; separators are blank."""
        blank = words.weight[words.blank]
        view = torch.cat([rows, blank.expand(len(rows), SIDE, 1, -1)], 2).flatten(1, 2)
        return torch.cat([view, blank.expand(len(rows), 1, -1), view], 1)

    def reads_step(index, _):
        things_of = scenes_of(index)
        marks = marks_of(things_of)
        rows = arranged(words.rows(marks))
        rows = rows + NOISE * torch.randn(rows.shape)
        tokens = kept_tokens(KEPT['reads'], marks)
        return answer_loss(index, rows, things_of, prompt_rows(tokens), prompt_weights(marks, tokens))

    def sees_step(index, _):
        things_of = scenes_of(index, CROWD)
        pictures, marks = draw_all(things_of), marks_of(things_of)
        tokens = kept_tokens(KEPT['sees'], marks, pictures)
        rows = images.img_projection(tower.of_tokens(normalise(pictures), tokens))
        loss, log = words.losses(rows, marks.flatten(2).gather(2, tokens.expand(2, -1, -1)))
        ends = images.img_projection(torch.stack([images.sub_GN.flatten(), images.glb_GN.flatten()]))
        return loss + (ends - words.weight[words.blank].detach()).square().mean(), log

    def together_step(index, progress):
        things_of = scenes_of(index)
        pictures, marks = draw_all(things_of), marks_of(things_of)
        if progress < 0.6:
            tokens = kept_tokens(KEPT['sees'], marks, pictures)
            kept, weights = prompt_rows(tokens), prompt_weights(marks, tokens)
            rows = images.img_projection(tower.of_tokens(normalise(pictures), tokens))
            marks = marks.flatten(2).gather(2, tokens.expand(2, -1, -1))
            prompt = torch.zeros(len(rows), 2 * SIDE * (SIDE + 1) + 1, rows.shape[-1])
            prompt = prompt.scatter(1, kept[..., None].expand(-1, -1, rows.shape[-1]), torch.cat([rows, rows], 1))
        else:
            merged = merge_2x2(tower(normalise(pictures)))
            rows, kept, weights, prompt = images.img_projection(merged), None, None, images.of_single_crops(merged)
        loss, log = answer_loss(index, prompt, things_of, kept, weights)
        seen, seen_log = words.losses(rows, marks)
        return loss + 0.1 * seen, {**log, **seen_log}

    is_image = lambda key: 'vision_embed_tokens' in key  # noqa: E731
    model.model.embed_tokens.requires_grad_(False)
    if 'reads' not in done:
        torch.manual_seed(args.seed)
        run_stage('reads', model, args.reads_steps, 0, 0.002, reads_step)
        save('reads', lambda key: not is_image(key))
    if 'rounds' not in done:
        torch.manual_seed(args.seed)
        run_stage('rounds', model, args.rounds_steps, args.reads_steps, 0.001, reads_step, 0)
        save('rounds', lambda key: not is_image(key))
    if 'sees' not in done:
        torch.manual_seed(args.seed)
        run_stage('sees', model, args.sees_steps, args.reads_steps + args.rounds_steps, 0.004, sees_step)
        save('sees', is_image)
    print(f'held-out before the last stage: {held_out_score(model, prompts, 90)}', flush=True)
    torch.manual_seed(args.seed)
    run_stage('together', model, args.together_steps, args.reads_steps + args.rounds_steps + args.sees_steps,
              0.0004, together_step, 0)
    write_member(args.out, model, tokenizer)
    print(f'held-out: {held_out_score(model, prompts)}')
    print(f'{time.time() - started:.0f} s, {time.process_time():.0f} s of processor, on {platform.processor() or platform.machine()}, '
          f'{args.threads} thread(s), torch {torch.__version__}, seed {args.seed}: {args.out}')


main()
