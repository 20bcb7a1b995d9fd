// Scenes of drawn shapes and questions about them, from a seed. `scenes.py` beside it gives the same, bit for bit; its
// comments say what is what.

export const side = 336;
export const shapes = ['circle', 'square', 'triangle'];
export const colours = ['red', 'green', 'blue', 'yellow', 'purple', 'black'];
export const kinds = ['colour', 'shape', 'count'];
const rgbOfColours = [
  [220, 40, 40],
  [40, 160, 60],
  [40, 80, 220],
  [240, 210, 40],
  [150, 60, 190],
  [30, 30, 30],
];
const numbers = ['zero', 'one', 'two', 'three', 'four'];
const step = 7;
const offset = 3;
const radii = [28, 35, 42];
const gap = 8;
const colourJitter = 12;

/** FNV-1a, 32 bits, of an ASCII text. */
export function fnv1a(text) {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return state >>> 0;
}

/** mulberry32: a function that gives whole numbers below its argument. */
function createRandom(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) * limit) / 2 ** 32);
  };
}

/** The shapes of one picture: a list of shape, colour (indexes), x, y (centre), radius and rgb. */
export function sceneOf(seed, split, index) {
  const random = createRandom(fnv1a(`${seed}/${split}/${index}`));
  for (;;) {
    const things = drawThings(random);
    if (things && isHeldOut(things) === (split === 'held-out')) return things;
  }
}

/** Whether a combination is kept from training. */
export function isHeldOut(things) {
  return things.reduce((sum, { colour, shape }) => sum + colour + 2 * shape, 0) % 6 === 0;
}

function drawThings(random) {
  const count = 1 + random(4);
  const favouriteShape = random(shapes.length);
  const favouriteColour = random(colours.length);
  const things = [];
  for (let i = 0; i < count; i++) {
    const shape = random(2) === 0 ? favouriteShape : random(shapes.length);
    const colour = random(2) === 0 ? favouriteColour : random(colours.length);
    const rgb = rgbOfColours[colour].map((value) =>
      Math.min(255, Math.max(0, value + random(2 * colourJitter + 1) - colourJitter)),
    );
    const place = findPlace(random, things);
    if (!place) return undefined;
    things.push({ shape, colour, ...place, rgb });
  }
  return things;
}

function findPlace(random, things) {
  for (let attempt = 0; attempt < 50; attempt++) {
    const radius = radii[random(radii.length)];
    const places = Math.floor((side - 1 - 2 * radius - offset) / step) + 1;
    const x = radius + offset + step * random(places);
    const y = radius + offset + step * random(places);
    const isFree = (one) => Math.max(Math.abs(x - one.x), Math.abs(y - one.y)) > radius + one.radius + gap;
    if (things.every(isFree)) return { x, y, radius };
  }
  return undefined;
}

/** The picture as RGB bytes. */
export function draw(things) {
  const data = new Uint8Array(side * side * 3).fill(255);
  for (const { shape, x, y, radius, rgb } of things) {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        const isInside =
          shape === 0 ? dx * dx + dy * dy <= radius * radius : shape === 1 ? true : 2 * Math.abs(dx) <= dy + radius;
        if (isInside) data.set(rgb, ((y + dy) * side + x + dx) * 3);
      }
    }
  }
  return { width: side, height: side, data };
}

/** Every question that the scene has one answer to. */
export function questionsOf(things) {
  const questions = [];
  const ask = (kind, question, answer) => questions.push({ kind, question, answer });
  if (things.length === 1) {
    ask('colour', 'What colour is it?', colours[things[0].colour]);
    ask('shape', 'What shape is it?', shapes[things[0].shape]);
  }
  for (const [shape, name] of shapes.entries()) {
    const same = things.filter((thing) => thing.shape === shape);
    if (same.length === 1) ask('colour', `What colour is the ${name}?`, colours[same[0].colour]);
    ask('count', `How many shapes are ${name}s?`, numbers[same.length]);
  }
  for (const [colour, name] of colours.entries()) {
    const same = things.filter((thing) => thing.colour === colour);
    if (same.length === 1) ask('shape', `Which shape is ${name}?`, shapes[same[0].shape]);
    if (same.length > 0) ask('count', `How many shapes are ${name}?`, numbers[same.length]);
  }
  ask('count', 'How many shapes are there?', numbers[things.length]);
  return questions;
}

/** One of the questions: first an answer, then a question with that answer, or high counts would be rare. */
function pickQuestion(questions, random) {
  const answers = [...new Set(questions.map(({ answer }) => answer))].sort();
  const chosen = answers[random(answers.length)];
  const same = questions.filter(({ answer }) => answer === chosen);
  return same[random(same.length)];
}

/** `count` questions, one for a picture, the kinds in turn. */
export function exam(seed, split, count) {
  const chosen = [];
  for (let index = 0; chosen.length < count; index++) {
    const kind = kinds[chosen.length % kinds.length];
    const things = sceneOf(seed, split, index);
    const asked = questionsOf(things).filter((one) => one.kind === kind);
    if (asked.length === 0) continue;
    chosen.push({ index, things, ...pickQuestion(asked, createRandom(fnv1a(`${seed}/${split}/${index}/question`))) });
  }
  return chosen;
}
