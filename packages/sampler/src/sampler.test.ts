import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import {
  applyFrequencyPenalty,
  applyLogitBias,
  applyMinNewTokens,
  applyMinP,
  applyNoRepeatNgram,
  applyPresencePenalty,
  applyRepetitionPenalty,
  applyTemperature,
  applyTopK,
  applyTopP,
  applyTypicalP,
  createRandom,
  createSampler,
  pickGreedy,
  pickRandom,
  type SamplerOptions,
  type SamplerState,
  samplerOptionNames,
  softmax,
  type TokenHistory,
} from './index.ts';

const empty: TokenHistory = { promptIds: [], generatedIds: [] };

describe('pickGreedy', () => {
  it('takes the largest, of equals the lowest id', () => {
    expect(pickGreedy(Float32Array.of(1, 5, 5, 2))).toBe(1);
    expect(pickGreedy(Float32Array.of(-Infinity, -3e38))).toBe(1);
  });
  it('never gives a token for NaN, wherever it stands', () => {
    for (let position = 0; position < 4; position++) {
      const logits = Float32Array.of(1, 2, 3, 4);
      logits[position] = Number.NaN;
      expect(() => pickGreedy(logits)).toThrow(`NUM_NAN pickGreedy(logits[${position}])`);
      expect(() => pickRandom(logits, createRandom(1))).toThrow(`NUM_NAN pickRandom(logits[${position}])`);
    }
  });
});

describe('pickRandom', () => {
  it('draws as often as the probabilities say', () => {
    const logits = Float32Array.of(0.5, -Infinity, 0.3, 0.2).map((one) => (one > 0 ? Math.log(one) : one));
    const random = createRandom(8);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20000; i++) counts[pickRandom(logits, random)]!++;
    expect(counts[1]).toBe(0);
    // Four standard deviations of 20,000 draws: 4 · sqrt(0.25 / 20000) = 0.0141; the seed is fixed.
    for (const [id, p] of [0.5, 0, 0.3, 0.2].entries()) expect(Math.abs(counts[id]! / 20000 - p)).toBeLessThan(0.0142);
  });

  it('cannot draw a token of probability 0 at the ends of the range', () => {
    const logits = Float32Array.of(-Infinity, 0, -Infinity);
    const drawing = (number: number) => ({ ...createRandom(1), nextFloat: () => number });
    expect(pickRandom(logits, drawing(0))).toBe(1);
    expect(pickRandom(logits, drawing(1 - 2 ** -53))).toBe(1);
  });
});

describe('createSampler', () => {
  const random = createSeededRandom(31);
  const logits = random.normals(200, 3);
  const history: TokenHistory = {
    promptIds: Array.from({ length: 40 }, () => random.integer(200)),
    generatedIds: Array.from({ length: 40 }, () => random.integer(200)),
  };

  it('is greedy without options, and at temperature 0 whatever else is set', () => {
    const best = pickGreedy(logits);
    expect(createSampler().sample(logits)).toEqual({ id: best });
    expect(createSampler({ temperature: 0, topP: 0.3, topK: 4 }).sample(logits, history)).toEqual({ id: best });
  });

  it('runs its steps in the order of transformers', () => {
    const options = {
      logitBias: { 3: 2, 50: -Infinity },
      repetitionPenalty: 1.2,
      frequencyPenalty: 0.3,
      presencePenalty: 0.2,
      noRepeatNgramSize: 2,
      minNewTokens: 50,
      eosTokenIds: [7, 9],
      temperature: 1.6,
      topK: 60,
      topP: 0.95,
      minP: 0.01,
      typicalP: 0.9,
      seed: 77,
    } satisfies SamplerOptions;
    let step = applyLogitBias(logits, options.logitBias);
    step = applyRepetitionPenalty(step, history, 1.2);
    step = applyFrequencyPenalty(step, history.generatedIds, 0.3);
    step = applyPresencePenalty(step, history.generatedIds, 0.2);
    step = applyNoRepeatNgram(step, history, 2);
    step = applyMinNewTokens(step, 40, 50, [7, 9]);
    step = applyTemperature(step, 1.6);
    step = applyTopK(step, 60);
    step = applyTopP(step, 0.95);
    step = applyMinP(step, 0.01);
    step = applyTypicalP(step, 0.9);
    const sampler = createSampler(options);
    const chance = createRandom(77);
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const { id } = sampler.sample(logits, history);
      expect(id).toBe(pickRandom(step, chance));
      seen.add(id);
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  it('the order matters: bias comes before the repetition penalty, top-k before top-p', () => {
    // 1 + 3 = 4, halved 2, against 2.5: the other way round it would be 0.5 + 3 = 3.5.
    const biased = { logitBias: { 0: 3 }, repetitionPenalty: 2 };
    expect(createSampler(biased).sample(Float32Array.of(1, 2.5), { promptIds: [0], generatedIds: [] }).id).toBe(1);
    // Probabilities 0.4, 0.3, 0.3. Of the first two (ties: all three stay) nothing goes; of the first alone, all others.
    const filtered = createSampler({ temperature: 1, topK: 1, topP: 0.6, seed: 1 });
    const ids = Array.from({ length: 50 }, () => filtered.sample(Float32Array.of(0.4, 0.31, 0.29).map(Math.log)).id);
    expect(new Set(ids)).toEqual(new Set([0]));
  });

  it('does not write to the logits', () => {
    const copy = logits.slice();
    createSampler({ temperature: 2, topP: 0.5, repetitionPenalty: 2, logprobs: 3 }).sample(logits, history);
    expect(logits).toEqual(copy);
  });

  it('takes logits of another length in between', () => {
    const sampler = createSampler({ temperature: 1, topP: 0.9, repetitionPenalty: 1.1, seed: 4 });
    const fresh = createSampler({ temperature: 1, topP: 0.9, repetitionPenalty: 1.1, seed: 4 });
    sampler.sample(new Float32Array(17), empty);
    fresh.sample(new Float32Array(17), empty);
    expect(sampler.sample(logits, history)).toEqual(fresh.sample(logits, history));
  });

  it('an error leaves no trace in later choices', () => {
    const options = { repetitionPenalty: 1.5, frequencyPenalty: 0.5, logitBias: { 1: 1 } };
    const sampler = createSampler(options);
    for (const generatedIds of [[3, 999], [Number.NaN], [0.5]]) {
      expect(() => sampler.sample(logits, { promptIds: [1, 2, 2], generatedIds })).toThrow(/^ARGUMENT sample\(history/);
    }
    expect(sampler.sample(logits, history)).toEqual(createSampler(options).sample(logits, history));
  });

  describe('log-probabilities', () => {
    it('are those of the model itself, before any step', () => {
      const sampler = createSampler({ temperature: 0.3, topK: 2, logitBias: { 5: 50 }, logprobs: 4, seed: 1 });
      const { id, logprob, topLogprobs } = sampler.sample(logits, history);
      expect(id).toBe(5);
      const raw = softmax(logits);
      // softmax rounds to float32.
      expect(Math.abs(Math.exp(logprob!) / raw[5]! - 1)).toBeLessThan(1e-6);
      expect(topLogprobs).toHaveLength(4);
      expect(topLogprobs![0]!.id).toBe(pickGreedy(logits));
      for (const one of topLogprobs!) expect(Math.abs(Math.exp(one.logprob) / raw[one.id]! - 1)).toBeLessThan(1e-6);
    });

    it('0 reports the chosen token alone, absent reports nothing', () => {
      expect(createSampler({ logprobs: 0 }).sample(logits).topLogprobs).toEqual([]);
      expect(createSampler().sample(logits)).not.toHaveProperty('logprob');
    });
  });

  describe('seeds', () => {
    const draw = (options: SamplerOptions) => {
      const sampler = createSampler({ temperature: 3, ...options });
      return Array.from({ length: 30 }, () => sampler.sample(logits).id);
    };

    it('the same seed gives the same tokens, another one others', () => {
      expect(draw({ seed: 5 })).toEqual(draw({ seed: 5 }));
      expect(draw({ seed: 5 })).not.toEqual(draw({ seed: 6 }));
    });

    it('a drawn seed is reported and gives the same tokens again', () => {
      const sampler = createSampler({ temperature: 3 });
      const ids = Array.from({ length: 30 }, () => sampler.sample(logits).id);
      expect(Number.isSafeInteger(sampler.seed)).toBe(true);
      expect(draw({ seed: sampler.seed })).toEqual(ids);
      expect(createSampler({ temperature: 3 }).seed).not.toBe(sampler.seed);
    });

    it('a saved state continues in another sampler, seed included', () => {
      const sampler = createSampler({ temperature: 3, seed: 9 });
      sampler.sample(logits);
      const state = JSON.parse(JSON.stringify(sampler.saveState())) as SamplerState;
      const expected = [sampler.sample(logits), sampler.sample(logits)];
      const other = createSampler({ temperature: 3, seed: 1 });
      other.restoreState(state);
      expect(other.seed).toBe(9);
      expect([other.sample(logits), other.sample(logits)]).toEqual(expected);
    });

    it('rejects a state that is none and keeps its own', () => {
      const sampler = createSampler({ seed: 9 });
      for (const state of [
        null,
        {},
        { seed: 1 },
        { seed: 0.5, random: [1, 2, 3, 4] },
        { seed: 1, random: [0, 0, 0, 0] },
      ]) {
        expect(() => sampler.restoreState(state as never)).toThrow(/^ARGUMENT restoreState\(state/);
      }
      expect(sampler.seed).toBe(9);
    });
  });

  describe('bad input', () => {
    const every: [string, SamplerOptions][] = [
      ['greedy', {}],
      ['greedy with a penalty', { repetitionPenalty: 1.1 }],
      ['by chance', { temperature: 1, seed: 1 }],
      ['top-k', { temperature: 1, topK: 2, seed: 1 }],
      ['top-p', { temperature: 1, topP: 0.5, seed: 1 }],
      ['min-p', { temperature: 1, minP: 0.5, seed: 1 }],
      ['typical-p', { temperature: 1, typicalP: 0.5, seed: 1 }],
    ];
    for (const [name, options] of every) {
      it(`RT-05 NaN is an error: ${name}`, () => {
        for (const position of [0, 1, 2]) {
          const bad = Float32Array.of(1, 2, 3);
          bad[position] = Number.NaN;
          expect(() => createSampler(options).sample(bad)).toThrow(
            `NUM_NAN sample(logits[${position}]): expected finite numbers or -Infinity, got NaN. ` +
              'Look for the first layer whose output is not finite',
          );
        }
        expect(() => createSampler(options).sample(new Float32Array(3).fill(Number.NaN))).toThrow(/^NUM_NAN/);
      });
      it(`RT-06 +Infinity is an error: ${name}`, () =>
        expect(() => createSampler(options).sample(Float32Array.of(1, Infinity))).toThrow(
          'NUM_NAN sample(logits[1]): expected finite numbers or -Infinity, got Infinity',
        ));
      it(`RT-07 no candidate is an error: ${name}`, () => {
        expect(() => createSampler(options).sample(new Float32Array(3).fill(-Infinity))).toThrow(
          'SAMPLER_EMPTY sample(logits): expected at least one token that is not ruled out, got ',
        );
        expect(() => createSampler(options).sample(new Float32Array(0))).toThrow(/^SAMPLER_EMPTY.*no logits/);
        const ruledOut = createSampler({ ...options, logitBias: { 0: -Infinity, 1: -Infinity } });
        expect(() => ruledOut.sample(new Float32Array(2))).toThrow(/^SAMPLER_EMPTY/);
      });
    }

    const rejected: [string, string, object][] = [
      ['RT-08', 'temperature', { temperature: -1 }],
      ['RT-08', 'temperature', { temperature: Number.NaN }],
      ['RT-08', 'temperature', { temperature: Infinity }],
      ['RT-08', 'temperature', { temperature: null }],
      ['RT-08', 'temperature', { temperature: '1' }],
      ['RT-09', 'topP', { temperature: 1, topP: 0 }],
      ['RT-09', 'topP', { temperature: 1, topP: 1.1 }],
      ['RT-09', 'topK', { temperature: 1, topK: 1.5 }],
      ['RT-09', 'topK', { temperature: 1, topK: -1 }],
      ['RT-09', 'minP', { temperature: 1, minP: 1.1 }],
      ['RT-09', 'minP', { temperature: 1, minP: -0.1 }],
      ['RT-09', 'typicalP', { temperature: 1, typicalP: 0 }],
      ['RT-10', 'repetitionPenalty', { repetitionPenalty: 0 }],
      ['RT-10', 'repetitionPenalty', { repetitionPenalty: -1 }],
      ['RT-10', 'frequencyPenalty', { frequencyPenalty: Number.NaN }],
      ['RT-10', 'presencePenalty', { presencePenalty: Infinity }],
      ['RT-13', 'seed', { seed: 0.5 }],
      ['RT-13', 'seed', { seed: -1 }],
      ['RT-13', 'seed', { seed: '42' }],
      ['RT-27', 'logprobs', { logprobs: -1 }],
      ['RT-27', 'logprobs', { logprobs: true }],
      ['a rule', 'noRepeatNgramSize', { noRepeatNgramSize: -2 }],
      ['a rule', 'minNewTokens', { minNewTokens: 0.5, eosTokenIds: [1] }],
      ['end tokens missing', 'eosTokenIds', { minNewTokens: 3 }],
      ['end tokens', 'eosTokenIds[1]', { eosTokenIds: [1, -1] }],
      ['a bias', 'logitBias[0]', { logitBias: { 0: Number.NaN } }],
      ['a filter that greedy choice would ignore', 'temperature', { topP: 0.9 }],
      ['a filter that greedy choice would ignore', 'temperature', { topK: 50 }],
    ];
    for (const [title, argument, options] of rejected) {
      it(`${title}: ${JSON.stringify(options)} is rejected`, () =>
        expect(() => createSampler(options)).toThrow(`ARGUMENT createSampler(${argument}): expected`));
    }

    it('RT-14 every name that it lists is accepted', () => {
      const listed: Record<(typeof samplerOptionNames)[number], undefined> = Object.fromEntries(
        samplerOptionNames.map((name) => [name, undefined]),
      ) as never;
      expect(createSampler(listed).sample(Float32Array.of(1, 2))).toEqual({ id: 1 });
    });

    it('RT-14 an unknown option is an error that lists the known ones', () => {
      // @ts-expect-error the misspelling on purpose
      expect(() => createSampler({ top_p: 0.9 })).toThrow(
        'OPTION_UNKNOWN createSampler(top_p): expected one of logitBias, repetitionPenalty,',
      );
      // @ts-expect-error the wrong kind on purpose
      expect(() => createSampler(null)).toThrow(/^ARGUMENT createSampler\(options\)/);
    });

    it('RT-27 more log-probabilities than tokens are an error', () =>
      expect(() => createSampler({ logprobs: 4 }).sample(new Float32Array(3))).toThrow(
        'ARGUMENT sample(logprobs): expected at most 3, the number of tokens, got 4',
      ));

    it('a history that is none is an error', () => {
      for (const history of [null, {}, { promptIds: [1] }, { promptIds: 3, generatedIds: [] }]) {
        expect(() => createSampler({ temperature: 1 }).sample(new Float32Array(3), history as never)).toThrow(
          /^ARGUMENT sample\(history\.\w+\): expected an array of token ids/,
        );
      }
    });

    it('a bias or end token outside the vocabulary is an error', () => {
      expect(() => createSampler({ logitBias: { 3: 1 } }).sample(new Float32Array(3))).toThrow(
        'ARGUMENT sample(logitBias[3]): expected a token id from 0 to 2, got 3',
      );
      expect(() => createSampler({ minNewTokens: 1, eosTokenIds: [3] }).sample(new Float32Array(3))).toThrow(
        'ARGUMENT sample(eosTokenIds[0]): expected a token id from 0 to 2, got 3',
      );
    });
  });
});
