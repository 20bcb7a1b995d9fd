import { familyMember } from '@phiblocks/runtime';
import type { ChatMessage } from '@phiblocks/tokenizer';
import type { CheckContext } from '../context.ts';
import { memberOf } from './members.ts';
import moe from './phi3.5-moe-instruct.json' with { type: 'json' };
import mini4k from './phi3-mini-4k-instruct.json' with { type: 'json' };
import mini128k from './phi3-mini-128k-instruct.json' with { type: 'json' };
import stories from './stories260k-phi3.json' with { type: 'json' };

/** A slice of logits that another project published for the real weights. */
export interface LogitsFact {
  readonly kind: 'logits';
  readonly inputIds: readonly number[];
  /** The first rows and columns of the logits. */
  readonly expected: readonly (readonly number[])[];
  readonly tolerance: { readonly relative: number; readonly absolute: number };
  readonly source: string;
  readonly note: string;
}

/** A text that another project published for the real weights, by argmax. */
export interface TextFact {
  readonly kind: 'text';
  readonly messages?: readonly ChatMessage[];
  /** In place of messages: continue from nothing but the tokens that the tokenizer puts in front. */
  readonly fromNothing?: boolean;
  readonly numNewTokens: number;
  /** The whole text, prompt included, special tokens kept; or, from nothing, what was generated. */
  readonly expected: string;
  readonly source: string;
}

interface PublishedFile {
  readonly model: string;
  readonly facts: readonly object[];
}

const files: readonly PublishedFile[] = [mini4k, mini128k, moe];

/** What is published for the model that is checked, or why nothing can be said of it. */
export async function factsFor(
  context: CheckContext,
): Promise<{ facts: readonly (LogitsFact | TextFact)[]; reason: string }> {
  const { checkpoint, options, target } = context;
  const sizes = familyMember(checkpoint.config);
  const said = options.member ? memberOf(options.member).repository : target.repository;
  if (said !== undefined) {
    if (sizes !== undefined && `microsoft/${sizes}` !== said) {
      return { facts: [], reason: `config.json describes microsoft/${sizes}, not ${said}` };
    }
    if (sizes === undefined) return { facts: [], reason: `config.json does not have the sizes of ${said}` };
    const found = files.find(({ model }) => model === said);
    if (!found) return { facts: [], reason: `no numbers of ${said} are published that we know of` };
    return { facts: found.facts.flatMap(factOf), reason: `numbers published for ${said}` };
  }
  if (await isStories(context)) {
    const { expected, numNewTokens, source } = stories;
    return { facts: [{ kind: 'text', fromNothing: true, expected, numNewTokens, source }], reason: stories.model };
  }
  return {
    facts: [],
    reason:
      sizes === undefined
        ? 'not a published checkpoint, by its config.json'
        : `config.json is that of ${sizes}, but weights on disk may be anyone's: say --member, or give the name on the hub`,
  };
}

/** The published weights of stories260k in this layout, known by the sum of their file. */
async function isStories({ target, checkpoint }: CheckContext): Promise<boolean> {
  const { config, weights } = checkpoint;
  if (
    target.kind !== 'directory' ||
    config.vocabSize !== stories.vocabSize ||
    config.hiddenSize !== stories.hiddenSize
  ) {
    return false;
  }
  const { createHash } = await import('node:crypto');
  const { readFile } = await import('node:fs/promises');
  const { join } = await import('node:path');
  const [file] = new Set([...weights.tensors.values()].map((tensor) => tensor.file));
  const bytes = await readFile(join(target.path, file ?? 'model.safetensors')).catch(() => undefined);
  return bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === stories.sha256;
}

function factOf(fact: object): (LogitsFact | TextFact)[] {
  const {
    kind,
    input_ids: inputIds,
    expected,
    stated_tolerance: stated,
    source,
    note = '',
    messages,
    limit,
    expected_decoded: text,
  } = fact as {
    kind: string;
    input_ids?: number[];
    expected?: number[][];
    stated_tolerance?: { rtol: number; atol: number };
    source: { project: string; version: string; commit: string; file: string; test: string };
    note?: string;
    messages?: ChatMessage[];
    limit?: { new_tokens?: number; total_tokens_prompt_plus_new?: number };
    expected_decoded?: string;
  };
  const where = `${source.project} ${source.version}, ${source.file}, ${source.test} (${source.commit.slice(0, 8)})`;
  if (kind === 'logits' && inputIds && expected && stated) {
    // Values that are multiples of bfloat16 steps were computed in bfloat16.
    const isBfloat16 = /bfloat16/.test(note) || /bfloat16/.test(String('arithmetic' in fact ? fact.arithmetic : ''));
    const tolerance = isBfloat16 ? { relative: 0.02, absolute: 0.3 } : { relative: stated.rtol, absolute: stated.atol };
    return [{ kind: 'logits', inputIds, expected, tolerance, source: where, note }];
  }
  if (kind === 'greedy_text' && messages && text !== undefined && limit?.new_tokens !== undefined) {
    return [{ kind: 'text', messages, numNewTokens: limit.new_tokens, expected: text, source: where }];
  }
  return [];
}
