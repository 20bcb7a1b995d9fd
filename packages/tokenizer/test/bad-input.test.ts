import { isPhi3Error } from '@phiblocks/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createGgufTokenizer,
  createPhi3SmallTokenizer,
  encodeChat,
  type GgufVocabulary,
  parseTiktoken,
  parseTokenizerJson,
  type Tokenizer,
  tokenizerErrorCodes,
} from '../src/index.ts';
import { addedToken, byteTokens, tinyRanks, tinyTokenizerJson } from './tiny-tokenizer.ts';

type Json = ReturnType<typeof tinyTokenizerJson>;

function changed(change: (json: Json) => void): Json {
  const json = tinyTokenizerJson();
  change(json);
  return json;
}

function inModel(changes: Record<string, unknown>): object {
  const json = tinyTokenizerJson();
  return { ...json, model: { ...json.model, ...changes } };
}

function vocabWith(token: string, id: unknown): object {
  return inModel({ vocab: { ...tinyTokenizerJson().model.vocab, [token]: id } });
}

const tiny = () => parseTokenizerJson(tinyTokenizerJson());
const nested = (depth: number): unknown =>
  depth === 0 ? tinyTokenizerJson().normalizer : { type: 'Sequence', normalizers: [nested(depth - 1)] };
const regex = { Regex: '(a+)+$' };
const ggufOf = (changes: object) => {
  const tokens = [...byteTokens(), '▁', 'a', '▁a'];
  const tokenTypes = tokens.map((_, id) => (id < 256 ? 6 : 1));
  return () => createGgufTokenizer({ tokens, tokenTypes, scores: tokens.map(() => 0), ...changes });
};
const line = (rank: number, text: string) => tinyRanks().replace(/.*\n/g, (old) => (rank-- === 0 ? text : old));

// One row per input: its id in the catalogue of bad input, what it is, the call, and the code and place it must give.
const rejected: [id: string, what: string, call: () => unknown, code: string, place?: object][] = [
  ['TK-01', 'no model', () => parseTokenizerJson({}), 'TK_MODEL', { key: 'model' }],
  ['TK-01', 'an unknown model', () => parseTokenizerJson(inModel({ type: 'Unigram' })), 'TK_MODEL'],
  ['TK-01', 'a model without type', () => parseTokenizerJson(inModel({ type: undefined })), 'TK_MODEL'],
  ['TK-01', 'no vocabulary', () => parseTokenizerJson(inModel({ vocab: undefined })), 'TK_MODEL'],
  ['TK-01', 'no merges', () => parseTokenizerJson(inModel({ merges: {} })), 'TK_MODEL'],
  ['TK-01', 'dropout', () => parseTokenizerJson(inModel({ dropout: 0.1 })), 'TK_MODEL', { key: 'model.dropout' }],
  ['TK-01', 'ignored merges', () => parseTokenizerJson(inModel({ ignore_merges: true })), 'TK_MODEL'],
  ['TK-01', 'not JSON', () => parseTokenizerJson('{'), 'TK_JSON'],
  ['TK-01', 'not an object', () => parseTokenizerJson('[]'), 'TK_JSON'],
  ['TK-01', 'not UTF-8', () => parseTokenizerJson(Uint8Array.of(0x7b, 0xff)), 'TK_JSON'],
  ...[['h'], ['h', 'i', 'x'], 'h', 'h i x', 'h  i', ' h i', '', 7, null].map((merge): (typeof rejected)[number] => [
    'TK-02',
    `merge ${JSON.stringify(merge)}`,
    () => parseTokenizerJson(inModel({ merges: ['h i', merge] })),
    'TK_MERGE',
    { key: 'model.merges[1]' },
  ]),
  ['TK-03', 'a merge of an unknown part', () => parseTokenizerJson(inModel({ merges: ['h x'] })), 'TK_MERGE'],
  ['TK-03', 'a merge to an unknown token', () => parseTokenizerJson(inModel({ merges: ['i h'] })), 'TK_MERGE'],
  ['TK-03', 'a merge twice', () => parseTokenizerJson(inModel({ merges: ['h i', 'h i'] })), 'TK_MERGE'],
  ...[-1, 1.5, 3, 2 ** 40, Number.NaN, '7', null].map((id): (typeof rejected)[number] => [
    'TK-04',
    `vocabulary id ${id}`,
    () => parseTokenizerJson(vocabWith('new', id)),
    'TK_VOCAB',
  ]),
  [
    'TK-05',
    'an added token on the id of another token',
    () => parseTokenizerJson(changed((json) => json.added_tokens.push(addedToken(260, '<|x|>')))),
    'TK_ADDED_TOKEN',
    { key: 'added_tokens[4]' },
  ],
  [
    'TK-05',
    'two added tokens on one id',
    () => parseTokenizerJson(changed((json) => json.added_tokens.push(addedToken(266, '<|x|>')))),
    'TK_ADDED_TOKEN',
  ],
  [
    'TK-05',
    'one added token on two ids',
    () => parseTokenizerJson(changed((json) => json.added_tokens.push(addedToken(267, '<|end|>')))),
    'TK_ADDED_TOKEN',
  ],
  [
    'TK-05',
    'an added token that the vocabulary has elsewhere',
    () => parseTokenizerJson(changed((json) => json.added_tokens.push(addedToken(267, 'hi')))),
    'TK_ADDED_TOKEN',
  ],
  [
    'TK-05',
    'an added token without text',
    () => parseTokenizerJson(changed((json) => json.added_tokens.push(addedToken(267, '')))),
    'TK_ADDED_TOKEN',
  ],
  [
    'TK-05',
    'an added token that wants word boundaries',
    () => parseTokenizerJson(changed((json) => json.added_tokens.push(addedToken(267, 'x', { single_word: true })))),
    'TK_ADDED_TOKEN',
  ],
  [
    'TK-06',
    'an unknown normalizer',
    () =>
      parseTokenizerJson({
        ...tinyTokenizerJson(),
        normalizer: { type: 'Sequence', normalizers: [...tinyTokenizerJson().normalizer.normalizers, { type: 'NFC' }] },
      }),
    'TK_COMPONENT',
    { key: 'normalizer.normalizers[2]' },
  ],
  ['TK-06', 'no normalizer', () => parseTokenizerJson({ ...tinyTokenizerJson(), normalizer: null }), 'TK_COMPONENT'],
  [
    'TK-06',
    'a pre-tokenizer',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), pre_tokenizer: { type: 'ByteLevel' } }),
    'TK_COMPONENT',
    { key: 'pre_tokenizer' },
  ],
  [
    'TK-06',
    'an unknown decoder',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), decoder: { type: 'WordPiece' } }),
    'TK_COMPONENT',
    { key: 'decoder' },
  ],
  [
    'TK-06',
    'an unknown post-processor',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), post_processor: { type: 'BertProcessing' } }),
    'TK_COMPONENT',
    { key: 'post_processor' },
  ],
  [
    'TK-07',
    'a catastrophic regular expression in a normalizer',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), normalizer: { type: 'Replace', pattern: regex, content: '' } }),
    'TK_REGEX',
    { key: 'normalizer.pattern' },
  ],
  [
    'TK-07',
    'one in a pre-tokenizer',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), pre_tokenizer: { type: 'Split', pattern: regex } }),
    'TK_REGEX',
  ],
  ['TK-07', 'one beside ranks', () => parseTiktoken(tinyRanks(), { pattern: '(a+)+$' }), 'TK_REGEX'],
  [
    'TK-08',
    'a regular expression that JavaScript lacks',
    () => parseTiktoken(tinyRanks(), { pattern: '\\p{L}++|(?i:x)' }),
    'TK_REGEX',
  ],
  ['TK-09', 'a file over the cap', () => parseTokenizerJson(' '.repeat(128 * 2 ** 20 + 1)), 'TK_TOO_LARGE'],
  ['TK-09', 'ranks over the cap', () => parseTiktoken(' '.repeat(128 * 2 ** 20 + 1)), 'TK_TOO_LARGE'],
  [
    'TK-09',
    'too large a GGUF vocabulary',
    ggufOf({ tokens: { length: 2_000_001 }, scores: { length: 2_000_001 }, tokenTypes: { length: 2_000_001 } }),
    'TK_TOO_LARGE',
  ],
  ['TK-10', 'deep sequences', () => parseTokenizerJson({ ...tinyTokenizerJson(), normalizer: nested(17) }), 'TK_DEPTH'],
  [
    'TK-10',
    'very deep sequences',
    () =>
      parseTokenizerJson(
        JSON.stringify(tinyTokenizerJson()).replace(
          '"normalizer":',
          `"normalizer":${'{"type":"Sequence","normalizers":['.repeat(50_000)}null${']}'.repeat(50_000)},"old":`,
        ),
      ),
    'TK_DEPTH',
  ],
  [
    'TK-11',
    'a byte without token',
    () => {
      const { '<0xFF>': gone, ...vocab } = tinyTokenizerJson().model.vocab;
      const entries = Object.keys(vocab).map((token, id) => [token, id]);
      return parseTokenizerJson(inModel({ vocab: Object.fromEntries(entries) }));
    },
    'TK_BYTE_FALLBACK',
  ],
  ['TK-11', 'no byte fallback', () => parseTokenizerJson(inModel({ byte_fallback: false })), 'TK_MODEL'],
  ['TK-11', 'ranks without a byte', () => parseTiktoken(`${btoa('a')} 0\n`), 'TK_BYTE_FALLBACK'],
  [
    'TK-13',
    'half a pair, asked to reject',
    () => tiny().encode('a\udc00', { loneSurrogates: 'error' }),
    'TK_SURROGATE',
  ],
  ['TK-14', 'a text over the cap', () => tiny().encode('hihi', { maxInputLength: 3 }), 'TK_INPUT_TOO_LARGE'],
  ['TK-14', 'a text over the largest cap', () => tiny().encode('x'.repeat(2 ** 26 + 1)), 'TK_INPUT_TOO_LARGE'],
  ['TK-16', 'bad base64', () => parseTiktoken(line(3, 'A?== 3\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'base64 with stray bits', () => parseTiktoken(line(3, 'AB== 3\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'an empty token', () => parseTiktoken(line(3, ' 3\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'a rank twice', () => parseTiktoken(line(3, 'Aw== 2\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'a token twice', () => parseTiktoken(line(3, 'Ag== 3\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'a gap', () => parseTiktoken(line(3, 'Aw== 4\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'a negative rank', () => parseTiktoken(line(0, 'AA== -1\n')), 'TK_RANKS', { line: 1 }],
  ['TK-16', 'CRLF', () => parseTiktoken(tinyRanks().replaceAll('\n', '\r\n')), 'TK_RANKS', { line: 1 }],
  ['TK-16', 'an empty line', () => parseTiktoken(line(3, '\n')), 'TK_RANKS', { line: 4 }],
  ['TK-16', 'too few ranks for Phi-3-small', () => createPhi3SmallTokenizer(tinyRanks()), 'TK_RANKS'],
  ...[-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 1n, '1', undefined].map(
    (id): (typeof rejected)[number] => [
      'TK-17',
      `id ${String(id)} (${typeof id})`,
      () => tiny().decode([id as number]),
      'TK_ID_RANGE',
    ],
  ),
  ['TK-17', 'an id past a tiktoken vocabulary', () => parseTiktoken(tinyRanks()).decode([256]), 'TK_ID_RANGE'],
  ['TK-17', 'a bad id in a stream', () => tiny().createStreamDecoder().push(-1), 'TK_ID_RANGE'],
  [
    'TK-20',
    'truncation to nothing',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), truncation: { max_length: 0, stride: 0 } }),
    'TK_TRUNCATION',
  ],
  [
    'TK-20',
    'a stride as long as the text',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), truncation: { max_length: 8, stride: 8 } }),
    'TK_TRUNCATION',
  ],
  [
    'TK-20',
    'padding to nothing',
    () => parseTokenizerJson({ ...tinyTokenizerJson(), padding: { strategy: { Fixed: 0 } } }),
    'TK_TRUNCATION',
  ],
  [
    'TK-19',
    'a configuration that names a missing token',
    () => parseTokenizerJson(tinyTokenizerJson(), { tokenizerConfig: { bos_token: '<bos>' } }),
    'TK_CONFIG',
  ],
  [
    'TK-19',
    'a configuration that adds a token it does not name',
    () => parseTokenizerJson(tinyTokenizerJson(), { tokenizerConfig: { add_bos_token: true } }),
    'TK_CONFIG',
  ],
  ['GG-28', 'fewer scores than tokens', ggufOf({ scores: [0] }), 'TK_GGUF'],
  ['GG-28', 'fewer types than tokens', ggufOf({ tokenTypes: [] }), 'TK_GGUF'],
  ...['<0x-1>', '<0x+A>', '<0xG0>', '<0x1>', '<0x100>', '0x0A', ''].map((token): (typeof rejected)[number] => [
    'GG-30',
    `byte token ${JSON.stringify(token)}`,
    ggufOf({ tokens: [token, ...byteTokens().slice(1), '▁', 'a', '▁a'] }),
    'TK_GGUF',
  ]),
  ['GG-30', 'a byte twice', ggufOf({ tokens: ['<0x01>', ...byteTokens().slice(1), '▁', 'a', '▁a'] }), 'TK_GGUF'],
  ['GG-30', 'a token twice', ggufOf({ tokens: [...byteTokens(), '▁', 'a', 'a'] }), 'TK_VOCAB'],
  ['GG-30', 'a score that is not a number', ggufOf({ scores: new Array(259).fill(Number.NaN) }), 'TK_GGUF'],
  ['GG-30', 'an unknown token type', ggufOf({ tokenTypes: new Array(259).fill(9) }), 'TK_GGUF'],
  ['GG-30', 'an id outside the vocabulary', ggufOf({ bosTokenId: 259 }), 'TK_GGUF'],
  ['GG-30', 'another model', ggufOf({ model: 'gpt2' }), 'TK_MODEL'],
];

describe('bad input is rejected', () => {
  it.each(rejected)('%s %s', (_id, _what, call, code, place = {}) => {
    expect(code in tokenizerErrorCodes).toBe(true);
    const start = process.cpuUsage();
    let error: unknown;
    try {
      call();
    } catch (thrown) {
      error = thrown;
    }
    const { user, system } = process.cpuUsage(start);
    expect(error).toMatchObject({ code, where: expect.objectContaining(place) });
    // 50 ms is the rule for files under 1 MB; the larger ones here are refused by their length alone. Five times that
    // leaves room for a cold start and garbage collection.
    expect((user + system) / 1000).toBeLessThan(250);
  });

  it('unknown option names are errors', () => {
    const unknown = { code: 'OPTION_UNKNOWN' };
    expect(() => tiny().encode('x', { add_special_tokens: false } as object)).toThrow(expect.objectContaining(unknown));
    expect(() => tiny().encode('x', { signal: undefined } as object)).toThrow(expect.objectContaining(unknown));
    expect(() => tiny().decode([], { skip: true } as object)).toThrow(expect.objectContaining(unknown));
    expect(() => parseTokenizerJson({}, { config: {} } as object)).toThrow(expect.objectContaining(unknown));
    expect(() => parseTiktoken('', { regex: '' } as object)).toThrow(expect.objectContaining(unknown));
    expect(ggufOf({ token_type: [] })).toThrow(expect.objectContaining(unknown));
  });

  it('arguments of the wrong kind are errors', () => {
    const wrong = expect.objectContaining({ code: 'ARGUMENT' });
    expect(() => tiny().encode(7 as never)).toThrow(wrong);
    expect(() => tiny().encode('x', { maxInputLength: -1 })).toThrow(wrong);
    expect(() => tiny().encode('x', { maxInputLength: 2 ** 27 })).toThrow(wrong);
    expect(() => tiny().encode('x', { loneSurrogates: 'drop' as never })).toThrow(wrong);
    for (const range of [
      [0, 2],
      [-1, 1],
      [1, 0],
      [0, 0.5],
    ] as const)
      expect(() => tiny().encode('x', { literalRanges: [range] })).toThrow(wrong);
    expect(() =>
      tiny().encode('xyz', {
        literalRanges: [
          [1, 3],
          [0, 1],
        ],
      }),
    ).toThrow(wrong);
    expect(() => parseTiktoken(null as never)).toThrow(wrong);
  });
});

describe('damaged files', () => {
  const file = JSON.stringify(tinyTokenizerJson());
  const config = JSON.stringify({
    add_bos_token: true,
    bos_token: '<s>',
    added_tokens_decoder: { 1: addedToken(1, '<s>') },
  });
  const ranks = tinyRanks(['ab', 'abc']);
  // A tokenizer or one of our errors; any other error fails the property.
  const readsOrRejects = (read: () => Tokenizer): void => {
    try {
      const tokenizer = read();
      tokenizer.decode(tokenizer.encode('hi abc\n😀<|end|> x'));
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
    }
  };

  it('with a byte changed or the end cut off are read or rejected with a code', () => {
    const damage = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      byte: fc.nat(255),
      cut: fc.boolean(),
    });
    const damaged = (text: string, { at, byte, cut }: { at: number; byte: number; cut: boolean }): Uint8Array => {
      const bytes = new TextEncoder().encode(text);
      const place = Math.floor(at * bytes.length);
      bytes[place] = byte;
      return cut ? bytes.subarray(0, place) : bytes;
    };
    fc.assert(
      fc.property(damage, (what) => {
        readsOrRejects(() => parseTokenizerJson(damaged(file, what), { tokenizerConfig: config }));
        readsOrRejects(() => parseTokenizerJson(file, { tokenizerConfig: damaged(config, what) }));
        readsOrRejects(() => parseTiktoken(damaged(ranks, what)));
      }),
      { seed: 13, numRuns: 1000 },
    );
  });

  it('with any value in place of another are read or rejected with a code', () => {
    const paths: (string | number)[][] = [];
    const collect = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0 && !(path[1] === 'vocab' && path.length > 2)) paths.push(path);
      if (typeof value === 'object' && value !== null)
        for (const [key, child] of Object.entries(value)) collect(child, [...path, key]);
    };
    collect(JSON.parse(file), []);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const json = JSON.parse(file);
        let parent = json;
        for (const key of path.slice(0, -1)) parent = parent[key];
        parent[path.at(-1)!] = value;
        readsOrRejects(() => parseTokenizerJson(json, { tokenizerConfig: config }));
      }),
      { seed: 14, numRuns: 1500 },
    );
    const vocabulary = { tokens: [...byteTokens(), '▁', 'a', '▁a'], scores: new Array(259).fill(0), tokenTypes: [] };
    fc.assert(
      fc.property(
        fc.constantFrom('tokens', 'scores', 'tokenTypes', 'bosTokenId', 'model'),
        fc.jsonValue(),
        (key, value) => {
          const valid = { ...vocabulary, tokenTypes: vocabulary.tokens.map((_, id) => (id < 256 ? 6 : 1)) };
          readsOrRejects(() => createGgufTokenizer({ ...valid, [key]: value } as GgufVocabulary));
        },
      ),
      { seed: 15, numRuns: 500 },
    );
  });
});

describe('what the catalogue wants accepted', () => {
  it('TK-02 both forms of merges give the same tokenizer', () => {
    const pairs = parseTokenizerJson(
      inModel({
        merges: [
          ['▁', 'h'],
          ['▁h', 'i'],
          ['h', 'i'],
        ],
      }),
    );
    expect(pairs.encode('hi hi h')).toEqual(tiny().encode('hi hi h'));
  });

  it('TK-04 names that objects have of themselves are only tokens', () => {
    const pieces = ['▁', '__proto__', 'constructor', 'toString'];
    const json = JSON.stringify(tinyTokenizerJson({ merges: [], pieces: ['▁', 'PROTO', 'constructor', 'toString'] }));
    const tokenizer = parseTokenizerJson(json.replace('"PROTO"', '"__proto__"'));
    for (const piece of pieces) expect(tokenizer.idToToken(tokenizer.tokenToId(piece)!)).toBe(piece);
    expect(tokenizer.tokenToId('valueOf')).toBe(undefined);
  });

  it('TK-08 the known pattern is translated', () => {
    const pattern =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    expect(parseTiktoken(tinyRanks(['ab']), { pattern }).encode('ab')).toHaveLength(1);
  });

  it('TK-10 sixteen levels are read', () => {
    expect(parseTokenizerJson({ ...tinyTokenizerJson(), normalizer: nested(15) }).encode('hi')).toHaveLength(1);
  });

  it('TK-12 content never yields special ids unless opted in', () => {
    const tokenizer = tiny();
    const end = tokenizer.tokenToId('<|end|>')!;
    const messages = [{ role: 'user', content: 'hi<|end|>\n<s></s>' }];
    const options = { addGenerationPrompt: false };
    const closed = encodeChat(tokenizer, 'phi-3-vision', messages, options);
    expect(closed.filter((id) => id <= 2 || id === end)).toEqual(Int32Array.of(end));
    const open = encodeChat(tokenizer, 'phi-3-vision', messages, { ...options, parseSpecialTokensInContent: true });
    expect(open.filter((id) => id <= 2 || id === end)).toEqual(Int32Array.of(end, 1, 2, end));
  });

  it('TK-13 half a pair is U+FFFD by default', () => {
    expect(tiny().encode('h\ud800')).toEqual(tiny().encode('h\ufffd'));
    expect(tiny().encode('h\ud83d\ude00', { loneSurrogates: 'error' })).toHaveLength(5);
  });

  it('TK-15 empty, blank and odd texts', () => {
    const tokens = (text: string) => Array.from(tiny().encode(text), (id) => tiny().idToToken(id));
    expect(tokens('')).toEqual([]);
    expect(tokens('  ')).toEqual(['▁', '▁', '▁']);
    expect(tokens('\0')).toEqual(['▁', '<0x00>']);
    expect(tokens('\ufeff')).toEqual(['▁', '<0xEF>', '<0xBB>', '<0xBF>']);
    expect(tokens('\r\n\r')).toEqual(['▁', '<0x0D>', '<0x0A>', '<0x0D>']);
  });

  it('TK-17 ids in range without a token add nothing', () => {
    expect(tiny().decode([264, 30_000])).toBe(tiny().decode([264]));
  });

  it('TK-18 half a character waits and is flushed as U+FFFD', () => {
    const stream = tiny().createStreamDecoder();
    const byte = (value: number) => 3 + value;
    expect([0xf0, 0x9f, 0x98].map((value) => stream.push(byte(value)))).toEqual(['', '', '']);
    expect(stream.push(byte(0x80))).toBe('😀');
    expect([0xe4, 0xb8].map((value) => stream.push(byte(value)))).toEqual(['', '']);
    expect(stream.flush()).toBe('\ufffd\ufffd');
  });

  it('TK-19 flags that disagree are reported, and tokenizer.json is followed', () => {
    const config = {
      added_tokens_decoder: {
        0: addedToken(0, '<unk>'),
        1: addedToken(1, '<s>', { rstrip: true }),
        2: addedToken(2, '</s>'),
        900: addedToken(900, '<|more|>'),
      },
      clean_up_tokenization_spaces: true,
    };
    const tokenizer = parseTokenizerJson(tinyTokenizerJson(), { tokenizerConfig: config });
    expect(tokenizer.warnings.map(({ code }) => code)).toEqual([
      'TK_FLAGS_DISAGREE',
      'TK_FLAGS_DISAGREE',
      'TK_FLAGS_DISAGREE',
      'TK_FLAGS_DISAGREE',
      'TK_IGNORED',
    ]);
    expect(tokenizer.warnings[0]!.message).toBe(
      'rstrip of <s> is true in tokenizer_config.json; tokenizer.json is followed',
    );
    expect(tokenizer.addedTokens.find(({ content }) => content === '<s>')!.rstrip).toBe(false);
  });

  it('TK-19 add_bos_token of the configuration wins', () => {
    const config = { add_bos_token: true, bos_token: { content: '<s>' }, add_eos_token: true, eos_token: '</s>' };
    const tokenizer = parseTokenizerJson(tinyTokenizerJson(), { tokenizerConfig: JSON.stringify(config) });
    expect(tokenizer.encode('hi')).toEqual(Int32Array.of(1, 263, 2));
    expect(tokenizer.encode('hi', { addSpecialTokens: false })).toEqual(Int32Array.of(263));
  });

  it('TK-20 truncation and padding that make sense are reported as not applied', () => {
    const json = { ...tinyTokenizerJson(), truncation: { max_length: 1 }, padding: { strategy: 'BatchLongest' } };
    const tokenizer = parseTokenizerJson(json);
    expect(tokenizer.warnings.map(({ code }) => code)).toEqual(['TK_IGNORED', 'TK_IGNORED']);
    expect(tokenizer.encode('hi hi')).toHaveLength(2);
  });
});
