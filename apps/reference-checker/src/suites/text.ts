import { encodeChat } from '@phiblocks/tokenizer';
import { failed, passed } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import { argmax } from '../engine/logits.ts';
import { factsFor, type TextFact } from '../published/facts.ts';
import { memberOf } from '../published/members.ts';
import type { Check } from '../result.ts';

/** Texts that other projects published for the real weights, chosen by argmax. */
export async function checkText(context: CheckContext): Promise<Findings> {
  const { checkpoint, implementation, options, progress } = context;
  const { tokenizer } = checkpoint;
  const { facts, reason } = await factsFor(context);
  const texts = facts.filter((fact) => fact.kind === 'text');
  if (texts.length === 0) return notApplicable(facts.length > 0 ? `${reason}: no text among them` : reason);
  if (!tokenizer) return notApplicable('the checkpoint has no tokenizer');
  const template = options.member ? memberOf(options.member).template : checkpoint.chatTemplate;
  const runner = await context.makeRunner();
  const checks: Check[] = [];
  try {
    for (const [index, fact] of texts.entries()) {
      const { messages, numNewTokens, expected, source }: TextFact = fact;
      const name = `text ${index + 1}`;
      if (messages && !template) {
        checks.push(failed(name, `the checkpoint has no published chat template, which ${source} uses`));
        continue;
      }
      const prompt = messages
        ? encodeChat(tokenizer, template!, messages, { addGenerationPrompt: true })
        : tokenizer.encode('');
      const sequence = implementation.createSequence(runner.network);
      const chosen: number[] = [];
      let logits = await sequence.advance(prompt);
      while (chosen.length < numNewTokens) {
        chosen.push(argmax(logits.data));
        progress(index * numNewTokens + chosen.length, texts.length * numNewTokens);
        if (chosen.length < numNewTokens) logits = await sequence.advance([chosen.at(-1)!]);
      }
      sequence.dispose();
      const got = tokenizer.decode(fact.fromNothing ? chosen : [...prompt, ...chosen]);
      checks.push(
        sameWords(got, expected)
          ? passed(name, `${numNewTokens} tokens as published: ${source}`)
          : failed(name, `${firstDifference(got, expected)}; ${source}`),
      );
    }
  } finally {
    await runner.dispose();
  }
  return { checks, reason };
}

/** Published texts were decoded with other rules for white space behind special tokens. */
function sameWords(a: string, b: string): boolean {
  return normalized(a) === normalized(b);
}

function normalized(text: string): string {
  return text.replace(/(<\|\w+\|>)\s*/g, '$1 ').trim();
}

function firstDifference(got: string, expected: string): string {
  const [a, b] = [normalized(got), normalized(expected)];
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return `differs at character ${at}: ${JSON.stringify(a.slice(at, at + 30))} instead of ${JSON.stringify(b.slice(at, at + 30))}`;
}
