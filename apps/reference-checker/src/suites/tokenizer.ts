import { familyMember } from '@phiblocks/runtime';
import { renderChat, type Tokenizer } from '@phiblocks/tokenizer';
import { failed, passed } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import {
  conversation,
  type Member,
  memberNames,
  memberOf,
  publishedIds,
  publishedRstrip,
  renderedConversations,
} from '../published/members.ts';
import type { Check } from '../result.ts';

/** Texts that have made tokenizers fail: spaces, line breaks, scripts, emoji, code, control characters. */
const texts = [
  'Once upon a time, there was a little girl named Lily.',
  '  two spaces, then a tab\tand  more ',
  'line\nbreaks\n\nand\r\nreturns',
  'función café naïve Straße Ωμέγα Привет мир',
  '日本語の文章と中文字符 한국어',
  'emoji 👍🏽 family 👨‍👩‍👧‍👦 flag 🇩🇪',
  'for (let i = 0; i < 10; i++) { sum += a[i] ** 2; } // 3.14159e-5',
  '\u0000\u0007 zero-width\u200bjoiner \ufeff',
];

/** Round trips, the added tokens with their flags, the sizes of the vocabulary, and the chat template. */
export async function checkTokenizer({ checkpoint, target, options }: CheckContext): Promise<Findings> {
  const { tokenizer, config, chatTemplate, warnings } = checkpoint;
  if (!tokenizer) return notApplicable('the checkpoint has no tokenizer');
  const checks: Check[] = [roundTrips(tokenizer), streams(tokenizer)];
  checks.push(
    tokenizer.vocabSize <= config.vocabSize
      ? passed('vocabulary', `${tokenizer.vocabSize} tokens, ${config.vocabSize} rows of the embedding`)
      : failed('vocabulary', `${tokenizer.vocabSize} tokens, but only ${config.vocabSize} rows of the embedding`),
  );
  checks.push(addedTokens(tokenizer));
  for (const [name, id, inConfig] of [
    ['bos_token_id', tokenizer.bosTokenId, config.bosTokenId],
    ['pad_token_id', tokenizer.padTokenId, config.padTokenId],
  ] as const) {
    if (id === undefined || inConfig === undefined) continue;
    checks.push(
      id === inConfig
        ? passed(name, `${id} in both files`)
        : failed(name, `${id} in the tokenizer, ${inConfig} in config.json`),
    );
  }
  const disagreements = tokenizer.warnings.filter(({ code }) => code === 'TK_FLAGS_DISAGREE');
  for (const { message } of disagreements) checks.push(failed('tokenizer_config.json', message));

  const name = options.member ?? memberBySize(familyMember(config), target.repository);
  if (name === undefined) {
    if (chatTemplate) checks.push(templateText(chatTemplate));
    return { checks, reason: 'consistency only: not recognised as a published member (--member says which)' };
  }
  const member = memberOf(name);
  checks.push(...publishedTokens(tokenizer, member));
  const unknown = warnings.some((warning) => warning.startsWith('TK_CHAT_TEMPLATE'));
  if (chatTemplate === member.template) checks.push(templateText(chatTemplate));
  else if (chatTemplate)
    checks.push(failed('chat_template', `is that of ${chatTemplate}; ${name} was published with ${member.template}`));
  else if (unknown) checks.push(failed('chat_template', `is not the one published with ${name}`));
  else checks.push(failed('chat_template', `is missing; ${name} was published with one`));
  return { checks, reason: `compared with what is published of ${name}` };
}

/** Two releases of mini share their sizes: only what was said tells them apart, and the later one is meant otherwise. */
function memberBySize(sizes: string | undefined, repository: string | undefined) {
  const wanted = repository ?? (sizes && `microsoft/${sizes}`);
  return memberNames.find((name) => memberOf(name).repository === wanted);
}

function roundTrips(tokenizer: Tokenizer): Check {
  for (const text of texts) {
    const ids = tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
    const back = tokenizer.decode(ids);
    if (back !== text) {
      return failed('roundTrip', `${JSON.stringify(text)} comes back as ${JSON.stringify(back)}`);
    }
  }
  return passed('roundTrip', `${texts.length} texts come back as they were`);
}

function streams(tokenizer: Tokenizer): Check {
  for (const text of texts) {
    const ids = tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
    const decoder = tokenizer.createStreamDecoder();
    let streamed = '';
    for (const id of ids) streamed += decoder.push(id);
    streamed += decoder.flush();
    if (streamed !== tokenizer.decode(ids))
      return failed('stream', `${JSON.stringify(text)} streams as ${JSON.stringify(streamed)}`);
  }
  return passed('stream', 'token by token gives the text of all at once');
}

/** Every added token is found in text, alone and between words. */
function addedTokens(tokenizer: Tokenizer): Check {
  for (const { id, content, rstrip } of tokenizer.addedTokens) {
    const ids = [...tokenizer.encode(content, { addSpecialTokens: false })];
    if (ids.length !== 1 || ids[0] !== id) {
      return failed(`addedTokens.${content}`, `encodes as [${ids.join(', ')}] instead of [${id}]`);
    }
    // Where rstrip is set, white space behind the token leaves no trace.
    const plain = tokenizer.encode(`${content}x`, { addSpecialTokens: false });
    const spaced = tokenizer.encode(`${content}\n x`, { addSpecialTokens: false });
    if (rstrip !== (plain.join() === spaced.join())) {
      return failed(
        `addedTokens.${content}`,
        `rstrip is ${rstrip}, but white space behind it is ${rstrip ? 'kept' : 'lost'}`,
      );
    }
  }
  return passed('addedTokens', `${tokenizer.addedTokens.length} added tokens are found and strip as they say`);
}

function publishedTokens(tokenizer: Tokenizer, member: Member): Check[] {
  const checks: Check[] = [];
  for (const [token, id] of publishedIds(member)) {
    const found = tokenizer.tokenToId(token);
    if (found !== id) checks.push(failed(`addedTokens.${token}`, `has id ${found}; published is ${id}`));
  }
  for (const { content, rstrip, lstrip } of tokenizer.addedTokens) {
    const published = publishedRstrip(member, content);
    if (rstrip !== published)
      checks.push(failed(`addedTokens.${content}`, `has rstrip ${rstrip}; published is ${published}`));
    if (lstrip) checks.push(failed(`addedTokens.${content}`, 'has lstrip; published is false'));
  }
  const first = tokenizer.encode('x')[0];
  if ((first === tokenizer.bosTokenId) !== member.addsBos) {
    const adds = member.addsBos ? 'puts <s> in front of a text' : 'puts nothing in front of a text';
    checks.push(failed('add_bos_token', `the published tokenizer ${adds}, this one does not agree`));
  }
  if (checks.length === 0)
    checks.push(passed('publishedTokens', 'ids and flags of the added tokens are the published ones'));
  return checks;
}

function templateText(name: Parameters<typeof renderChat>[0]): Check {
  const rendered = renderChat(name, conversation, { addGenerationPrompt: true });
  const expected = renderedConversations.get(name);
  return rendered === expected
    ? passed('chat_template', `is the published one of ${name}, and renders as written out here`)
    : failed('chat_template', `${name} renders ${JSON.stringify(rendered)} instead of ${JSON.stringify(expected)}`);
}
