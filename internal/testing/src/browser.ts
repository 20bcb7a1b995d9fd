// What tests in a browser can use: everything that does not read files.
export { argmax } from './argmax.ts';
export { expectClose, type Tolerance } from './expect-close.ts';
export { type GoldenCase, type GoldenTensor, parseGoldenCase } from './golden-case.ts';
export { createSeededRandom, type SeededRandom } from './seeded-random.ts';
