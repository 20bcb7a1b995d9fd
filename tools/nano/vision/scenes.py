"""Scenes of drawn shapes and questions about them, from a seed. `scenes.mjs` beside it gives the same, bit for bit.

A scene is one to four shapes on white, 336 x 336 pixels: the size of one crop of Phi-3-vision, so that nothing is resampled.
All of it is whole-number arithmetic, which is why two languages can agree on every pixel.
"""
import numpy as np

SIDE = 336
SHAPES = ('circle', 'square', 'triangle')
COLOURS = ('red', 'green', 'blue', 'yellow', 'purple', 'black')
RGB = ((220, 40, 40), (40, 160, 60), (40, 80, 220), (240, 210, 40), (150, 60, 190), (30, 30, 30))
NUMBERS = ('zero', 'one', 'two', 'three', 'four')
KINDS = ('colour', 'shape', 'count')
STEP, OFFSET = 7, 3  # pixels: centres are at OFFSET + multiples of STEP
RADII = (28, 35, 42)
GAP = 8  # pixels between the boxes of two shapes
COLOUR_JITTER = 12
TOKEN = 28  # pixels along the square that one token of the prompt shows

_MASK = 0xFFFFFFFF


def fnv1a(text):
    """FNV-1a, 32 bits, of an ASCII text."""
    state = 0x811C9DC5
    for byte in text.encode('ascii'):
        state = ((state ^ byte) * 0x01000193) & _MASK
    return state


class Random:
    """mulberry32: small, and the same in JavaScript."""

    def __init__(self, seed):
        self.state = seed & _MASK

    def next(self):
        self.state = (self.state + 0x6D2B79F5) & _MASK
        t = self.state
        t = ((t ^ (t >> 15)) * (t | 1)) & _MASK
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & _MASK)) & _MASK
        return t ^ (t >> 14)

    def below(self, limit):
        return (self.next() * limit) >> 32


def scene_of(seed, split, index, most=4):
    """The shapes of one picture. `split` is 'train' or 'held-out': no combination of shapes and colours is in both.

    A shape is a dict of shape, colour (indexes), x, y (centre), radius and rgb.
    """
    random = Random(fnv1a(f'{seed}/{split}/{index}'))
    while True:
        things = _draw_things(random, most)
        if things is not None and is_held_out(things) == (split == 'held-out'):
            return things


def is_held_out(things):
    """Whether a combination is kept from training: decided by what is in the picture, not by where. One in six is.

    Alone in a picture, a red circle, a purple square and a blue triangle are never seen in training.
    """
    return sum(thing['colour'] + 2 * thing['shape'] for thing in things) % 6 == 0


def _draw_things(random, most):
    count = 1 + random.below(most)
    # Half of the shapes and colours are a favourite of the picture, so that counts above one are common.
    favourite_shape, favourite_colour = random.below(len(SHAPES)), random.below(len(COLOURS))
    things = []
    for _ in range(count):
        shape = favourite_shape if random.below(2) == 0 else random.below(len(SHAPES))
        colour = favourite_colour if random.below(2) == 0 else random.below(len(COLOURS))
        rgb = [min(255, max(0, value + random.below(2 * COLOUR_JITTER + 1) - COLOUR_JITTER)) for value in RGB[colour]]
        place = _find_place(random, things)
        if place is None:
            return None
        x, y, radius = place
        things.append({'shape': shape, 'colour': colour, 'x': x, 'y': y, 'radius': radius, 'rgb': rgb})
    return things


def mark_of(shape, x, y, radius):
    """The pixel by which a shape is known: the top of a circle or a triangle, the upper left corner of a square.

    With OFFSET it is never at the edge of a token's square, where the two beside it would look alike but for a pixel.
    """
    return (x - radius if SHAPES[shape] == 'square' else x), y - radius


def _find_place(random, things):
    for _ in range(50):
        radius = RADII[random.below(len(RADII))]
        places = (SIDE - 1 - 2 * radius - OFFSET) // STEP + 1
        x, y = (radius + OFFSET + STEP * random.below(places) for _ in 'xy')
        if all(max(abs(x - one['x']), abs(y - one['y'])) > radius + one['radius'] + GAP for one in things):
            return x, y, radius
    return None


def draw(things):
    """The picture, `[336, 336, 3]` bytes, and whose each pixel is, `[336, 336]`: 0 for white, else 1 + the shape's index."""
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    owner = np.zeros((SIDE, SIDE), np.uint8)
    for index, thing in enumerate(things):
        radius = thing['radius']
        offsets = np.arange(-radius, radius + 1)
        dx, dy = offsets[None, :], offsets[:, None]
        if thing['shape'] == 0:
            inside = dx * dx + dy * dy <= radius * radius
        elif thing['shape'] == 1:
            inside = np.ones((len(offsets), len(offsets)), bool)
        else:
            inside = 2 * abs(dx) <= dy + radius
        rows = slice(thing['y'] - radius, thing['y'] + radius + 1)
        columns = slice(thing['x'] - radius, thing['x'] + radius + 1)
        pixels[rows, columns][inside] = thing['rgb']
        owner[rows, columns][inside] = index + 1
    return pixels, owner


def questions_of(things):
    """Every question that the scene has one answer to: a list of (kind, question, answer)."""
    questions = []
    if len(things) == 1:
        questions.append(('colour', 'What colour is it?', COLOURS[things[0]['colour']]))
        questions.append(('shape', 'What shape is it?', SHAPES[things[0]['shape']]))
    for shape, name in enumerate(SHAPES):
        same = [thing for thing in things if thing['shape'] == shape]
        if len(same) == 1:
            questions.append(('colour', f'What colour is the {name}?', COLOURS[same[0]['colour']]))
        questions.append(('count', f'How many shapes are {name}s?', NUMBERS[len(same)]))
    for colour, name in enumerate(COLOURS):
        same = [thing for thing in things if thing['colour'] == colour]
        if len(same) == 1:
            questions.append(('shape', f'Which shape is {name}?', SHAPES[same[0]['shape']]))
        if len(same) > 0:
            questions.append(('count', f'How many shapes are {name}?', NUMBERS[len(same)]))
    questions.append(('count', 'How many shapes are there?', NUMBERS[len(things)]))
    return questions


def pick_question(questions, random):
    """One of the questions: first an answer, then a question with that answer, or high counts would be rare."""
    answers = sorted({answer for _, _, answer in questions})
    answer = answers[random.below(len(answers))]
    same = [question for question in questions if question[2] == answer]
    return same[random.below(len(same))]


def exam(seed, split, count):
    """`count` questions, one for a picture, the kinds in turn: dicts of index, things, kind, question and answer."""
    chosen = []
    index = 0
    while len(chosen) < count:
        kind = KINDS[len(chosen) % len(KINDS)]
        things = scene_of(seed, split, index)
        asked = [one for one in questions_of(things) if one[0] == kind]
        if asked:
            _, question, answer = pick_question(asked, Random(fnv1a(f'{seed}/{split}/{index}/question')))
            chosen.append({'index': index, 'things': things, 'kind': kind, 'question': question, 'answer': answer})
        index += 1
    return chosen
