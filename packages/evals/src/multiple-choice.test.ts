import { describe, expect, it } from 'vitest';
import { type ChoiceQuestion, parseChoiceQuestions, scoreChoices } from './multiple-choice.ts';

/** Tokens are pairs of letters from the start of the text, so that a choice may change the last token of its prompt. */
const pairs = {
  encode: (text: string) =>
    Int32Array.from([
      0,
      ...(text.match(/.{1,2}/gs) ?? []).map((pair) => [...pair].reduce((n, c) => n * 256 + c.charCodeAt(0), 0)),
    ]),
  logProbabilities: async (ids: Int32Array, from: number) =>
    Float64Array.from(ids.subarray(from), (id) => -(id % 97) / 10),
};
const costOf = (...tokens: string[]): number =>
  -tokens
    .map((pair) => ([...pair].reduce((n, c) => n * 256 + c.charCodeAt(0), 0) % 97) / 10)
    .reduce((a, b) => a + b, 0);

describe('scoreChoices', () => {
  it('adds up what stands behind the common beginning of prompt and whole', async () => {
    // 'abc' + 'de' is ab|cd|e: the prompt alone is ab|c, so that the choice begins with the token cd.
    const scores = await scoreChoices(pairs, { prompt: 'abc', choices: ['de', 'x', 'yé'], answer: 0 });
    const expected = [costOf('cd', 'e'), costOf('cx'), costOf('cy', 'é')];
    expect(scores.logLikelihoods).toEqual(expected.map((value) => expect.closeTo(value, 12)));
    expect(scores.tokens).toEqual([2, 1, 2]);
    expect(scores.bytes).toEqual([2, 1, 3]);
    const pick = (values: number[]) => values.indexOf(Math.max(...values));
    expect(scores.picked).toEqual({
      sum: pick(expected),
      perToken: pick([expected[0]! / 2, expected[1]!, expected[2]! / 2]),
      perByte: pick([expected[0]! / 2, expected[1]!, expected[2]! / 3]),
    });
  });

  it('an empty prompt and a choice that the prompt swallows still score a token', async () => {
    const scores = await scoreChoices(pairs, { prompt: '', choices: ['ab', 'abab'], answer: 0 });
    expect(scores.tokens).toEqual([1, 2]);
  });

  it('of equals it takes the first', async () => {
    const { picked } = await scoreChoices(pairs, { prompt: 'ab', choices: ['cd', 'cd'], answer: 1 });
    expect(picked).toEqual({ sum: 0, perToken: 0, perByte: 0 });
  });

  it('rejects a question that is none', async () => {
    const good: ChoiceQuestion = { prompt: 'a', choices: ['b', 'c'], answer: 0 };
    for (const change of [{ answer: 2 }, { answer: -1 }, { choices: ['b'] }, { choices: ['b', ''] }, { prompt: 3 }]) {
      await expect(scoreChoices(pairs, { ...good, ...change } as never)).rejects.toMatchObject({ code: 'ARGUMENT' });
    }
  });
});

describe('parseChoiceQuestions', () => {
  it('reads one question per line, skipping empty lines', () => {
    const text =
      '{"prompt":"1 + 1 =","choices":[" 2"," 3"],"answer":0}\n\n{"id":"b","prompt":"","choices":["x","y"],"answer":1}\r\n';
    expect(parseChoiceQuestions(text)).toEqual([
      { id: undefined, prompt: '1 + 1 =', choices: [' 2', ' 3'], answer: 0 },
      { id: 'b', prompt: '', choices: ['x', 'y'], answer: 1 },
    ]);
  });

  it('names file and line of a fault', () => {
    const good = '{"prompt":"a","choices":["b","c"],"answer":0}';
    const bad = [
      'x',
      '[]',
      'null',
      '{}',
      '{"prompt":"a","choices":["b","c"]}',
      '{"prompt":"a","choices":["b","c"],"answer":"0"}',
      '{"prompt":"a","choices":["b","c"],"answer":1.5}',
      '{"prompt":"a","choices":"bc","answer":0}',
      '{"prompt":"a","choices":["b",3],"answer":0}',
      '{"prompt":"a","choices":["b","c"],"answer":0,"anwser":1}',
      '{"prompt":"a","choices":["b","c"],"answer":0,"__proto__":1}',
      '{"id":3,"prompt":"a","choices":["b","c"],"answer":0}',
    ];
    for (const line of bad) {
      expect(() => parseChoiceQuestions(`${good}\n${line}`, 'q.jsonl'), line).toThrow(
        expect.objectContaining({ code: 'EV_QUESTIONS', where: { file: 'q.jsonl', line: 2 } }),
      );
    }
    expect(() => parseChoiceQuestions('\n \n')).toThrow(expect.objectContaining({ code: 'EV_QUESTIONS' }));
  });
});
