// Shows a distribution before and after each step. Run with Node 22.18 or later: node examples/steps-of-sampling.ts
import { applyMinP, applyRepetitionPenalty, applyTemperature, applyTopK, applyTopP, softmax } from '@phiblocks/sampler';

const words = ['the', 'a', 'cat', 'dog', 'mat', 'xylophone'];
const history = { promptIds: [0, 2], generatedIds: [] };

let logits: Float32Array = Float32Array.of(3.2, 2.5, 2.9, 1.8, 1.1, -2);
show('model', logits);
logits = applyRepetitionPenalty(logits, history, 1.3);
show('repetition penalty 1.3', logits);
logits = applyTemperature(logits, 0.7);
show('temperature 0.7', logits);
logits = applyTopK(logits, 5);
show('top-k 5', logits);
logits = applyTopP(logits, 0.95);
show('top-p 0.95', logits);
logits = applyMinP(logits, 0.1);
show('min-p 0.1', logits);

function show(step: string, current: Float32Array): void {
  const shares = Array.from(softmax(current), (share, id) => `${words[id]} ${(100 * share).toFixed(1)}%`);
  console.log(`${step.padEnd(24)} ${shares.join('  ')}`);
}
