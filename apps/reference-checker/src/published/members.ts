import type { ChatTemplateName } from '@phiblocks/tokenizer';

// What is published about the tokenizers of the members. Source: `tokenizer.json`, `tokenizer_config.json` and
// `generation_config.json` of each checkpoint; for the 3.5 members their public copies.

export interface Member {
  /** Repository on the hub. */
  readonly repository: string;
  readonly template: ChatTemplateName;
  /** Added tokens that swallow the white space behind them: these, all but these, or none. */
  readonly rstrip: 'since June 2024' | 'first release' | 'vision' | 'none';
  readonly addsBos: boolean;
}

const members = {
  'phi-3-mini-4k': ['microsoft/Phi-3-mini-4k-instruct', 'phi-3-mini', 'since June 2024', false],
  'phi-3-mini-128k': ['microsoft/Phi-3-mini-128k-instruct', 'phi-3-mini', 'since June 2024', false],
  'phi-3-mini-4k-first-release': [
    'microsoft/Phi-3-mini-4k-instruct',
    'phi-3-mini-first-release',
    'first release',
    true,
  ],
  'phi-3-mini-128k-first-release': [
    'microsoft/Phi-3-mini-128k-instruct',
    'phi-3-mini-first-release',
    'first release',
    true,
  ],
  'phi-3-medium-4k': ['microsoft/Phi-3-medium-4k-instruct', 'phi-3-medium', 'since June 2024', false],
  'phi-3-medium-128k': ['microsoft/Phi-3-medium-128k-instruct', 'phi-3-medium', 'since June 2024', false],
  'phi-3-small-8k': ['microsoft/Phi-3-small-8k-instruct', 'phi-3-small', 'none', false],
  'phi-3-small-128k': ['microsoft/Phi-3-small-128k-instruct', 'phi-3-small', 'none', false],
  'phi-3-vision-128k': ['microsoft/Phi-3-vision-128k-instruct', 'phi-3-vision', 'vision', true],
  'phi-3.5-mini': ['microsoft/Phi-3.5-mini-instruct', 'phi-3.5-mini', 'since June 2024', false],
  'phi-3.5-moe': ['microsoft/Phi-3.5-MoE-instruct', 'phi-3.5-mini', 'since June 2024', false],
  'phi-3.5-vision': ['microsoft/Phi-3.5-vision-instruct', 'phi-3-vision', 'vision', true],
} as const satisfies Record<string, readonly [string, ChatTemplateName, Member['rstrip'], boolean]>;

export type MemberName = keyof typeof members;

export const memberNames = Object.keys(members) as MemberName[];

/** What is published of a member. */
export function memberOf(name: MemberName): Member {
  const [repository, template, rstrip, addsBos] = members[name];
  return { repository, template, rstrip, addsBos };
}

/** The flags of an added token as published, by the ids that all SentencePiece members share. */
export function publishedRstrip({ rstrip }: Member, token: string): boolean {
  switch (rstrip) {
    case 'first release':
    case 'none':
      return false;
    case 'since June 2024':
      return !['<unk>', '<s>', '<|endoftext|>'].includes(token);
    case 'vision':
      // Not the words of the chat format: there the white space behind them counts.
      return !['<unk>', '<s>', '<|endoftext|>', '<|system|>', '<|end|>', '<|user|>', '<|image|>'].includes(token);
  }
}

/** Ids of the words of the chat format. */
export function publishedIds({ template }: Member): ReadonlyMap<string, number> {
  return new Map(
    template === 'phi-3-small'
      ? [
          ['<|endoftext|>', 100257],
          ['<|system|>', 100261],
          ['<|user|>', 100262],
          ['<|assistant|>', 100263],
          ['<|end|>', 100266],
        ]
      : [
          ['<s>', 1],
          ['</s>', 2],
          ['<|endoftext|>', 32000],
          ['<|assistant|>', 32001],
          ['<|system|>', 32006],
          ['<|end|>', 32007],
          ['<|user|>', 32010],
        ],
  );
}

/** A conversation and what each published template makes of it, written out. */
export const conversation = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
  { role: 'user', content: 'Bye' },
];

const turns = '<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\nBye<|end|>\n';
const withoutSystem = '<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\nBye<|end|>\n<|assistant|>\n';

export const renderedConversations: ReadonlyMap<ChatTemplateName, string> = new Map([
  ['phi-3-mini', `${turns}<|assistant|>\n`],
  ['phi-3.5-mini', `${turns}<|assistant|>\n`],
  ['phi-3.5-moe', `${turns}<|assistant|>\n`],
  ['phi-3-vision', `${turns}<|assistant|>\n`],
  ['phi-3.5-vision', `${turns}<|assistant|>\n`],
  ['phi-3-small', `<|endoftext|>${turns}<|assistant|>\n`],
  ['phi-3-medium', withoutSystem],
  ['phi-3-mini-first-release', `<s>${withoutSystem}`],
  ['phi-4-mini', `${turns}<|assistant|>`.replaceAll('\n', '')],
]);
