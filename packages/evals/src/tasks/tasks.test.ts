import { readFileSync } from 'node:fs';
import { isPhi3Error } from '@phiblocks/tensor';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { parseTokenizerJson } from '@phiblocks/tokenizer';
import { describe, expect, it } from 'vitest';
import { countBytes, countPieces, countWords } from '../../test/counters.ts';
import type { TaskInput, TaskSample, TokenCounter } from '../sample.ts';
import { scoreOutput } from '../score-output.ts';
import { createTaskSample, suites, taskNames, tasksOfSuite } from '../suites.ts';
import { needleTask, needleVariants } from './needle.ts';

const input = (length: number, more: Partial<TaskInput> = {}): TaskInput => ({
  length,
  seed: 1,
  index: 0,
  countTokens: countWords,
  ...more,
});
const tokensOf = (sample: TaskSample, count: TokenCounter): number => count(sample) + sample.maxNewTokens;
const occurrences = (text: string, part: string): number => text.split(part).length - 1;

/** Every task at a length, or why it does not fit. */
function expectLength(name: string, length: number, count: TokenCounter): void {
  for (let index = 0; index < 3; index++) {
    const sample = createTaskSample(name, input(length, { countTokens: count, index }));
    expect(sample.promptTokens, name).toBe(count(sample));
    const tokens = tokensOf(sample, count);
    expect(tokens, `${name} at ${length}`).toBeLessThanOrEqual(length);
    expect(tokens, `${name} at ${length}`).toBeGreaterThanOrEqual(0.99 * length);
  }
}

describe('prompt and answer have the length asked for within 1 %, and never more', () => {
  it.each(taskNames)('%s, counted in words', (name) => {
    for (const length of [1024, 1500, 2048, 4096, 8192]) expectLength(name, length, countWords);
  });
  it.each(taskNames)('%s, counted in pieces of words', (name) => {
    for (const length of [2048, 3000, 6000]) expectLength(name, length, countPieces);
  });
  it.each(taskNames)('%s, counted in bytes', (name) => {
    for (const length of [6000, 16384]) expectLength(name, length, countBytes);
  });
  it.each(['passkey', 'niah_single_1', 'niah_single_2', 'niah_multikey_1', 'fwe'])('%s, from 256 words', (name) => {
    for (const length of [256, 300, 512, 777]) expectLength(name, length, countWords);
  });
  it('at 65,536 tokens too', () => {
    for (const name of ['passkey', 'niah_multikey_2', 'vt', 'cwe', 'fwe']) {
      const sample = createTaskSample(name, input(65536));
      expect(tokensOf(sample, countWords)).toBeGreaterThanOrEqual(0.99 * 65536);
    }
  });
});

describeWithShared('with the tokenizer of Phi-3-mini', 'tokenizers/phi-3-mini', () => {
  const file = (name: string) => readFileSync(sharedPath('tokenizers/phi-3-mini', name));
  const tokenizer = parseTokenizerJson(file('tokenizer.json'), { tokenizerConfig: file('tokenizer_config.json') });
  const count: TokenCounter = ({ prompt, answerPrefix }) => tokenizer.encode(prompt + answerPrefix).length;

  it.each(taskNames)('%s has the length asked for within 1 %', (name) => {
    for (const length of [1024, 2048, 4096]) expectLength(name, length, count);
  });
});

describe('every task', () => {
  it.each(taskNames)('%s depends on seed, length and index, and on nothing else', (name) => {
    const make = (more: Partial<TaskInput>) => createTaskSample(name, input(1500, more));
    expect(make({})).toEqual(make({}));
    for (const other of [make({ seed: 2 }), make({ index: 1 }), make({ length: 1600 })]) {
      expect(other.prompt).not.toBe(make({}).prompt);
      expect(other.references).not.toEqual(make({}).references);
    }
  });

  it.each(taskNames)('%s can be answered from its prompt, and its own answer scores 1', (name) => {
    for (let index = 0; index < 5; index++) {
      const { prompt, references, scoring } = createTaskSample(name, input(2048, { index }));
      for (const reference of references) expect(prompt).toContain(reference);
      expect(scoreOutput(scoring, ` ${references.join(', ')}.`, references)).toBe(1);
      expect(scoreOutput(scoring, '', references)).toBe(0);
    }
  });

  it.each(taskNames)('%s says when its question alone is too long', (name) => {
    const tooShort = () => createTaskSample(name, input(40));
    expect(tooShort).toThrow(expect.objectContaining({ code: 'EV_LENGTH' }));
  });

  it.each(taskNames)('%s rejects an input that is none', (name) => {
    const bad: [Partial<TaskInput>, string][] = [
      [{ length: 0 }, 'input.length'],
      [{ length: 2 ** 25 }, 'input.length'],
      [{ seed: -1 }, 'input.seed'],
      [{ index: 0.5 }, 'input.index'],
      [{ countTokens: undefined as never }, 'input.countTokens'],
      [{ maxNewTokens: 0 }, 'input.maxNewTokens'],
      [{ depthPercent: 101 }, 'input.depthPercent'],
    ];
    for (const [more, argument] of bad) {
      expect(() => createTaskSample(name, input(1000, more))).toThrow(
        expect.objectContaining({ code: 'ARGUMENT', argument }),
      );
    }
    expect(() => createTaskSample(name, { ...input(1000), lenght: 3 } as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_UNKNOWN' }),
    );
  });

  it('has the published allowance from 4,096 tokens on, and what its answer needs below', () => {
    const allowances = taskNames.map((name) => createTaskSample(name, input(4096)).maxNewTokens);
    expect(allowances).toEqual([10, ...new Array(8).fill(128), 30, 120, 50]);
    for (const name of taskNames) {
      const { maxNewTokens, references } = createTaskSample(name, input(2000));
      const needed = countWords({ prompt: '', answerPrefix: references.join(', ') });
      expect(maxNewTokens).toBeGreaterThanOrEqual(needed);
    }
    expect(createTaskSample('vt', input(2000, { maxNewTokens: 77 })).maxNewTokens).toBe(77);
  });
});

describe('passkey', () => {
  it('says the key twice in one line, asks for it, and fills the rest with the five sentences', () => {
    for (let index = 0; index < 20; index++) {
      const { prompt, answerPrefix, references } = createTaskSample('passkey', input(400, { index }));
      const [key] = references;
      expect(Number(key)).toBeGreaterThanOrEqual(1);
      expect(Number(key)).toBeLessThanOrEqual(50000);
      const lines = prompt.split('\n');
      expect(lines.length).toBe(5);
      expect(lines[2]).toBe(`The pass key is ${key}. Remember it. ${key} is the pass key.`);
      expect(lines[4]).toBe('What is the pass key?');
      expect(answerPrefix).toBe(' The pass key is');
      const filler = lines[1]! + lines[3]!;
      const unit = 'The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ';
      expect(unit.repeat(100).startsWith(filler)).toBe(true);
    }
  });

  it('puts the key at any depth, or where it is told', () => {
    const depthOf = (more: Partial<TaskInput>) => {
      const [, before, , behind] = createTaskSample('passkey', input(1000, more)).prompt.split('\n');
      return (100 * before!.length) / (before!.length + behind!.length);
    };
    const drawn = Array.from({ length: 40 }, (_, index) => depthOf({ index }));
    expect(Math.min(...drawn)).toBeLessThan(15);
    expect(Math.max(...drawn)).toBeGreaterThan(85);
    for (const depthPercent of [0, 25, 100]) expect(depthOf({ depthPercent })).toBeCloseTo(depthPercent, 0);
  });
});

describe('needles', () => {
  it('are the eight rows of the table', () => {
    const rows = Object.values(needleVariants).map(({ haystack, key, value, numKeys, valuesPerKey, keysAsked }) =>
      [haystack, key, value, numKeys, valuesPerKey, keysAsked].join(' '),
    );
    expect(rows).toEqual([
      'repeated word number 1 1 1',
      'essay word number 1 1 1',
      'essay word uuid 1 1 1',
      'essay word number 4 1 1',
      'needles word number 1 1 1',
      'needles uuid uuid 1 1 1',
      'essay word number 1 4 1',
      'essay word number 4 1 4',
    ]);
  });

  it.each(Object.entries(needleVariants))('%s hides as many needles as it says, each once', (name, variant) => {
    for (let index = 0; index < 10; index++) {
      const { prompt, answerPrefix, references } = createTaskSample(name, input(2048, { index }));
      const needles = [...prompt.matchAll(/One of the special magic (numbers|uuids) for (\S+) is: (\S+)\./g)];
      expect(needles.every(([, kind]) => kind === (variant.value === 'number' ? 'numbers' : 'uuids'))).toBe(true);
      const hidden = variant.numKeys * variant.valuesPerKey;
      if (variant.haystack === 'needles') expect(needles.length).toBeGreaterThan(20);
      else expect(needles.length).toBe(hidden);
      const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
      const keyShape = variant.key === 'uuid' ? uuid : /^[a-z]+-[a-z]+$/;
      const valueShape = variant.value === 'uuid' ? uuid : /^[1-9]\d{6}$/;
      for (const [, , key, value] of needles) {
        expect(key).toMatch(keyShape);
        expect(value).toMatch(valueShape);
      }
      // What is asked for: all values of the keys that the question names, and of no other.
      const question = prompt.split('\n').at(-1)!;
      const asked = needles.filter(([, , key]) => question.includes(`${key}`));
      expect(new Set(asked.map(([, , , value]) => value))).toEqual(new Set(references));
      expect(references.length).toBe(variant.keysAsked * variant.valuesPerKey);
      for (const [, , key] of asked) expect(answerPrefix).toContain(key);
      for (const reference of references) expect(occurrences(prompt, reference)).toBe(1);
    }
  });

  it('speak of one in the singular and of several in the plural', () => {
    expect(createTaskSample('niah_single_1', input(1000)).prompt).toMatch(
      /special magic number for \S+ that the text mentions\?$/,
    );
    expect(createTaskSample('niah_multivalue', input(1000)).prompt).toMatch(/all the special magic numbers for/);
  });

  it('lie in essays at one of the 40 depths, or where they are told', () => {
    const depthOf = (more: Partial<TaskInput>) => {
      const sample = createTaskSample('niah_single_2', input(2000, more));
      const haystack = sample.prompt.split('\n')[1]!;
      return { said: sample.depthPercent!, is: (100 * haystack.indexOf('One of the special')) / haystack.length };
    };
    const depths = new Set(Array.from({ length: 40 }, (_, i) => Math.round((i * 100) / 39)));
    for (let index = 0; index < 20; index++) {
      const { said, is } = depthOf({ index });
      expect(depths).toContain(said);
      expect(Math.abs(is - said)).toBeLessThan(3);
    }
    for (const depthPercent of [0, 50, 100]) {
      // Sentences are not cut in two: 2,000 words of about 12 a sentence.
      expect(Math.abs(depthOf({ depthPercent }).is - depthPercent)).toBeLessThan(3);
    }
  });

  it('essays have no digits, and do not repeat themselves', () => {
    const { prompt } = createTaskSample('niah_single_2', input(4096));
    const haystack = prompt.split('\n')[1]!.replace(/One of the special magic[^.]+\./, '');
    expect(haystack).not.toMatch(/\d/);
    const sentences = haystack.split('. ');
    expect(new Set(sentences).size).toBeGreaterThan(0.97 * sentences.length);
  });

  it('rejects a variant that is none', () => {
    expect(() => needleTask('niah_single_4' as never, input(1000))).toThrow(
      expect.objectContaining({ code: 'ARGUMENT' }),
    );
    expect(() => needleTask('toString' as never, input(1000))).toThrow(expect.objectContaining({ code: 'ARGUMENT' }));
  });
});

describe('variable tracking', () => {
  it('scatters a chain of four hops in order, behind a worked example with another chain', () => {
    for (let index = 0; index < 10; index++) {
      const { prompt, answerPrefix, references } = createTaskSample('vt', input(1200, { index }));
      const assignments = [...prompt.matchAll(/VAR ([A-Z]+) = (?:VAR )?(\w+)\./g)].map(([, name, from]) => [
        name!,
        from!,
      ]);
      const [example, chain] = [assignments.slice(0, 5), assignments.slice(5)];
      expect(example.every(([name]) => name!.length === 3)).toBe(true);
      expect(chain.map(([name]) => name)).toEqual(references);
      expect(references.every((name) => /^[A-Z]{5}$/.test(name))).toBe(true);
      for (const hops of [example, chain]) {
        expect(hops.length).toBe(5);
        expect(Number(hops[0]![1])).toBeGreaterThanOrEqual(10000);
        expect(Number(hops[0]![1])).toBeLessThanOrEqual(99998);
        for (let i = 1; i < 5; i++) expect(hops[i]![1]).toBe(hops[i - 1]![0]);
      }
      expect(answerPrefix).toContain(chain[0]![1]);
      // The example is answered.
      expect(prompt).toContain(`: ${example.map(([name]) => name).join(', ')}\n`);
    }
  });
});

describe('common words', () => {
  it.each([
    [2048, 6, 1],
    [8192, 30, 3],
  ])('at %i tokens: ten words %i times, others at most %i times', (length, common, others) => {
    const { prompt, references } = createTaskSample('cwe', input(length));
    const list = prompt
      .split('\n')
      .filter((line) => line.startsWith('1. '))
      .at(-1)!;
    const entries = list.split(/\s*\d+\. /).slice(1);
    const numbers = [...list.matchAll(/(\d+)\. /g)].map(([, number]) => Number(number));
    expect(numbers).toEqual(entries.map((_, i) => i + 1));
    const counts = new Map<string, number>();
    for (const entry of entries) counts.set(entry, (counts.get(entry) ?? 0) + 1);
    for (const word of references) expect(counts.get(word)).toBe(common);
    const rest = [...counts].filter(([word]) => !references.includes(word));
    expect(rest.length).toBeGreaterThan(100);
    for (const [word, count] of rest) expect(count, word).toBeLessThanOrEqual(others);
    expect(references.length).toBe(10);
    // In the example stands what it asks for, answered.
    expect(prompt).toMatch(/appear most often are: 1\. \w+ 2\. /);
  });
});

describe('frequent words', () => {
  it.each([600, 2048, 8192])(
    'at %i tokens: shares fall with the square of the rank, and the dots come first',
    (length) => {
      const { prompt, references } = createTaskSample('fwe', input(length));
      const text = prompt.split('\n')[1]!.split(' ');
      const counts = new Map<string, number>();
      for (const word of text) counts.set(word, (counts.get(word) ?? 0) + 1);
      const ranked = [...counts].sort(([, a], [, b]) => b - a);
      expect(ranked[0]![0]).toBe('...');
      expect(ranked.slice(1, 4).map(([word]) => word)).toEqual(references);
      expect(ranked.slice(1).every(([word]) => /^[a-z]{6}$/.test(word))).toBe(true);
      const [dots, ...shares] = ranked.slice(0, 4).map(([, count]) => count);
      // Rounded to whole words, and the last places filled with dots.
      for (const [i, share] of shares.entries())
        expect(Math.abs(share - shares[0]! * (2 / (i + 2)) ** 2)).toBeLessThan(2);
      expect(dots).toBeGreaterThan(3 * shares[0]!);
      expect(ranked[3]![1]).toBeGreaterThan(ranked[4]?.[1] ?? 0);
    },
  );
});

describe('suites', () => {
  it('hold every task, by name too', () => {
    expect(tasksOfSuite('long-context')).toEqual(taskNames);
    expect(taskNames.length).toBe(12);
    expect(tasksOfSuite('needle')).toEqual(['niah_single_2']);
    for (const name of taskNames) expect(tasksOfSuite(name)).toEqual([name]);
    for (const names of Object.values(suites)) for (const name of names) expect(taskNames).toContain(name);
  });

  it('of another name are an error that lists them', () => {
    for (const name of ['ruler', 'constructor', '__proto__', '']) {
      for (const call of [() => tasksOfSuite(name), () => createTaskSample(name, input(1000))]) {
        expect(call).toThrow(
          expect.objectContaining({ code: 'EV_SUITE', expected: expect.stringContaining('passkey') }),
        );
      }
    }
    try {
      tasksOfSuite('ruler');
    } catch (error) {
      expect(isPhi3Error(error, 'EV_SUITE')).toBe(true);
    }
  });
});
