import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { files } from '@phiblocks/nano/nano-mini';
import { openCheckpoint } from '@phiblocks/runtime/node';
import { createRandom, createSampler, pickRandom } from '@phiblocks/sampler';
import { describe, expect, it } from 'vitest';
import {
  exampleNextToken,
  exampleQuestion,
  neutralSettings,
  nextTokenOf,
  type SamplerSettings,
  samplerSteps,
} from '../figures/sampler-steps.ts';

const { logits, history, tokens } = exampleNextToken;
const last = (settings: SamplerSettings) => samplerSteps(logits, history, settings).at(-1)!;

describe('the figure of the samplers', () => {
  it('temperature, top-k, top-p and min-p by their formulas in float64', () => {
    const softmax = (values: number[]) => {
      const weights = values.map((value) => Math.exp(value));
      const total = weights.reduce((a, b) => a + b);
      return weights.map((weight) => weight / total);
    };
    const steps = samplerSteps(logits, history, {
      ...neutralSettings,
      temperature: 0.7,
      topK: 6,
      topP: 0.85,
      minP: 0.3,
    });
    const of = (option: string) => Array.from(steps.find((step) => step.option === option)!.probabilities);
    const close = (got: number[], expected: number[]) =>
      got.forEach((p, id) => {
        expect(Math.abs(p - expected[id]!), `id ${id}`).toBeLessThan(2 ** -20); // float32 logits up to 5, divided once
      });

    const warm = softmax(Array.from(logits, (logit) => logit / 0.7));
    close(of('temperature'), warm);
    // The example is in falling order, so ids are ranks.
    const renormalized = (kept: number) => {
      const total = warm.slice(0, kept).reduce((a, b) => a + b);
      return warm.map((p, id) => (id < kept ? p / total : 0));
    };
    const six = renormalized(6);
    close(of('topK'), six);
    let nucleus = 0;
    for (let sum = 0; sum < 0.85; nucleus++) sum += six[nucleus]!;
    close(of('topP'), renormalized(nucleus));
    const floor = renormalized(nucleus).filter((p) => p >= 0.3 * renormalized(nucleus)[0]!).length;
    close(of('minP'), renormalized(floor));
    expect([6, nucleus, floor]).toEqual([...new Set([6, nucleus, floor])]); // every step has something to do
  });

  it('penalties by hand', () => {
    const steps = samplerSteps(logits, history, {
      ...neutralSettings,
      repetitionPenalty: 2,
      frequencyPenalty: 0.5,
      presencePenalty: 0.25,
    });
    const logitOf = (option: string, id: number) => steps.find((step) => step.option === option)!.logits[id];
    expect(logitOf('repetitionPenalty', 0)).toBeCloseTo(1.6, 6); // 3.2, positive: divided
    expect(logitOf('repetitionPenalty', 5)).toBeCloseTo(0.6, 6);
    expect(logitOf('frequencyPenalty', 0)).toBeCloseTo(0.6, 6); // said twice
    expect(logitOf('frequencyPenalty', 5)).toBeCloseTo(0.1, 6); // the prompt does not count
    expect(logitOf('presencePenalty', 0)).toBeCloseTo(0.35, 6);
    expect(logitOf('presencePenalty', 1)).toBe(3);
  });

  it('draws what the sampler draws: the steps are those of createSampler, in its order', () => {
    const settings = {
      repetitionPenalty: 1.3,
      frequencyPenalty: 0.4,
      presencePenalty: 0.2,
      noRepeatNgramSize: 2,
      temperature: 1.4,
      topK: 9,
      topP: 0.9,
      minP: 0.05,
      typicalP: 0.95,
    };
    const final = last(settings);
    const drawn = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      const id = createSampler({ ...settings, seed }).sample(logits, history).id;
      expect(pickRandom(final.logits, createRandom(seed))).toBe(id);
      drawn.add(id);
    }
    expect(drawn.size).toBeGreaterThan(3);
    expect([...drawn].every((id) => final.probabilities[id]! > 0)).toBe(true);
  });

  it('neutral settings change nothing, and every probability is one of a distribution', () => {
    for (const step of samplerSteps(logits, history, neutralSettings)) {
      expect(step.isChange).toBe(false);
      expect(step.numPossible).toBe(tokens.length);
      expect(step.probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
    }
    expect(last({ ...neutralSettings, topK: 1 }).entropyInBits).toBe(0);
  });

  it('takes the next token of nano-mini from its logits', async () => {
    const checkpoint = await openCheckpoint(dirname(fileURLToPath(files['config.json'])));
    const sum = await nextTokenOf(checkpoint, 'What is 48 + 39?', '', 8);
    expect(sum.tokens[0]).toBe('▁Ones');
    const number = await nextTokenOf(checkpoint, 'Sort 45, 12, 99, 31, 27, 60, 71.', '12, 27, ', 8);
    const sky = await nextTokenOf(checkpoint, exampleQuestion.question, exampleQuestion.answer, 12);
    await checkpoint.close();
    const [own] = samplerSteps(sky.logits, sky.history, neutralSettings);
    expect(own!.entropyInBits).toBeGreaterThan(1); // of several minds, as the caption says
    // 31 is right; 45 stands first in the question.
    expect(number.tokens.slice(0, 2).sort()).toEqual(['3', '4']);
    expect(Array.from(number.logits)).toEqual(Array.from(number.logits).sort((a, b) => b - a));
    expect(number.tokens.length).toBe(8);
    // Both digits are in the question, and the answer so far has neither: the penalties count them so. A token that is not
    // in the list has a negative number of its own.
    const ranks = new Set(Array.from(number.history.promptIds));
    expect([0, 1].every((rank) => ranks.has(rank))).toBe(true);
    expect(
      Array.from(number.history.generatedIds)
        .slice(0, 4)
        .map((id) => number.tokens[id]),
    ).toContain('2');
    const penalized = samplerSteps(number.logits, number.history, {
      ...neutralSettings,
      repetitionPenalty: 1.5,
      frequencyPenalty: 0.5,
      noRepeatNgramSize: 2,
    });
    expect(penalized[1]!.logits[0]).toBeCloseTo(number.logits[0]! / 1.5, 5);
    expect(penalized[2]!.logits[0]).toBe(penalized[1]!.logits[0]);
  });
});
