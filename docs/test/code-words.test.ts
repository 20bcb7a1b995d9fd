import { expect, it } from 'vitest';
import { codeWords, type LineOfWords, wordsOfCodeBlock } from '../.vitepress/build/code-words.ts';

/** The words of the first line, with bars between them; a comment that moves as a whole in its own brackets. */
function show(source: string, language: string): string {
  const { words, commentStart } = wordsOfCodeBlock(source, language)[0] as LineOfWords;
  const line = source.split('\n')[0]!;
  const text = (isComment: boolean) =>
    words
      .filter(({ start }) => start >= commentStart === isComment)
      .map(({ start, end }) => line.slice(start, end))
      .join('|');
  return text(true) === '' ? text(false) : `${text(false)}⟨${text(true)}⟩`;
}

it.each([
  ['const a = f(1, 2);', 'const|a|=|f(1,|2);'],
  ["ask('What is 48 + 39?', model)", "ask('What is 48 + 39?',|model)"],
  ['a.b; // => [1, 2]', 'a.b;⟨// => [1,|2]⟩'],
  ['// one line of words', '⟨// one|line|of|words⟩'],
  ['Float32Array.from([...group.tokens].flatMap((token)', 'Float32Array|.from([|...group|.tokens]|.flatMap((|token)'],
  ["import 'https://not.a/comment';", "import|'https://not.a/comment';"],
  [`const t = \`\${a} and \${b} of all\`;`, `const|t|=|\`\${a} and \${b} of all\`;`],
])('ts: %s', (code, expected) => {
  expect(show(code, 'ts')).toBe(expected);
});

it.each([
  ['npx tool --model nano-mini --json', 'npx|tool|--model nano-mini|--json'],
  ['node make.mjs --shape phi-3-mini \\', 'node|make.mjs|--shape phi-3-mini \\'],
  ['npm test # runs all', 'npm|test⟨# runs|all⟩'],
  [
    'node tools/synthetic/make-checkpoint-of-everything.mjs',
    'node|tools/|synthetic/|make-checkpoint-of-everything.mjs',
  ],
])('sh: %s', (code, expected) => {
  expect(show(code, 'sh')).toBe(expected);
});

it('a template may go over several lines, and comments in it are text', () => {
  const source = 'const t = `one // two\nthree`; // four';
  expect(wordsOfCodeBlock(source, 'ts').map(({ commentStart }) => commentStart)).toEqual([21, 8]);
});

it('every character but blanks between words is in a word, once', () => {
  const source = `for (const x of [1, 2]) {\n  call(\`a \${x.map((y) => { return y; })} b\`, 'c d');\t// e f\n}\n\n/* g\n h */`;
  for (const [index, { words }] of wordsOfCodeBlock(source, 'ts').entries()) {
    const line = source.split('\n')[index]!;
    let end = 0;
    for (const word of words) {
      expect(line.slice(end, word.start).trim()).toBe('');
      end = word.end;
    }
    expect(line.slice(end).trim()).toBe('');
  }
});

it('only the blanks that put a comment into a column can be left out', () => {
  expect(marked("rows[0];    // => 'key     0 1'")).toBe("rows[0];⟨   ⟩ // => 'key     0 1'");
  expect(marked('a = b; // c')).toBe('a = b; // c');
  expect(marked('    // a   column')).toBe('    // a   column');
});

/** A line as it is rendered, with brackets around what a narrow page leaves out. */
function marked(source: string): string {
  const line: Element = {
    type: 'element',
    tagName: 'span',
    properties: {},
    children: [{ type: 'text', value: source }],
  };
  const code: Element = { type: 'element', tagName: 'code', properties: {}, children: [line] };
  const context = { source, options: { lang: 'ts' } } as ThisParameterType<Transform>;
  (codeWords.code as Transform).call(context, code);
  const textOf = (node: Element['children'][number]): string => {
    if (node.type !== 'element') return node.type === 'text' ? node.value : '';
    const text = node.children.map(textOf).join('');
    return node.properties.class === 'blanks' ? `⟨${text}⟩` : text;
  };
  return textOf(line);
}
type Transform = NonNullable<typeof codeWords.code>;
type Element = Parameters<Transform>[0];
