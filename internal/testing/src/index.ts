export { argmax } from './argmax.ts';
export { type ExampleModules, examplesOf, runExampleCode, testExamples, testMarkdown } from './examples.ts';
export { expectClose, type Tolerance } from './expect-close.ts';
export { type ForgedGguf, type ForgedTensor, type ForgedValue, forgeGguf, ggml } from './forge-gguf.ts';
export { loadGolden } from './golden.ts';
export { type GoldenCase, type GoldenTensor, parseGoldenCase } from './golden-case.ts';
export {
  gitHash,
  type HubServer,
  type HubServerFault,
  type HubServerOptions,
  type HubServerRequest,
  startHubServer,
} from './hub-server.ts';
export { allowLoopback, networkAttempts } from './network-guard.ts';
export { type PatternedSafetensors, patternedSafetensors } from './patterned-safetensors.ts';
export {
  corsHeaders,
  heldFile,
  type RangedFile,
  type RangeServer,
  refuse,
  startRangeServer,
} from './range-server.ts';
export { createSeededRandom, type SeededRandom } from './seeded-random.ts';
export { describeWithShared, sharedPath } from './shared.ts';
