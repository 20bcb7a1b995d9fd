/** Parts of a `tokenizer.json` that is complete and small; tests change what they are about. */
export function tinyTokenizerJson(
  { merges = ['▁ h', '▁h i', 'h i'], pieces = ['▁', 'h', 'i', '▁h', '▁hi', 'hi', '�'] as string[] } = {},
  changes: Record<string, unknown> = {},
) {
  const vocab: Record<string, number> = {};
  let id = 0;
  for (const token of ['<unk>', '<s>', '</s>', ...byteTokens(), ...pieces]) vocab[token] = id++;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      addedToken(0, '<unk>'),
      addedToken(1, '<s>'),
      addedToken(2, '</s>', { special: false }),
      addedToken(id, '<|end|>', { rstrip: true }),
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: { type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, vocab, merges: merges as unknown[] },
    ...changes,
  };
}

export function addedToken(id: number, content: string, flags: Record<string, boolean> = {}) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags };
}

export function byteTokens(): string[] {
  return Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
}

/** A tiktoken file with the 256 bytes and further tokens. */
export function tinyRanks(more: string[] = []): string {
  const tokens = [...Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)), ...more];
  return tokens.map((token, rank) => `${btoa(token)} ${rank}\n`).join('');
}

/**
 * BPE as sentencepiece and the paper define it, the whole piece at once: look for the best pair in the word, the leftmost
 * of equals, merge it, look again.
 *
 * @param priorityOf - of two neighbouring symbols, undefined where they do not merge; lower first
 */
export function slowBpe(symbols: string[], priorityOf: (left: string, right: string) => number | undefined): string[] {
  const word = symbols.slice();
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < word.length; i++) {
      const priority = priorityOf(word[i]!, word[i + 1]!) ?? Number.POSITIVE_INFINITY;
      if (priority < best) [best, at] = [priority, i];
    }
    if (at < 0) return word;
    word.splice(at, 2, word[at]! + word[at + 1]!);
  }
}

/** Symbols of a text before any merge: its characters, or their bytes where the vocabulary lacks them. */
export function symbolsOf(text: string, has: (token: string) => boolean): string[] {
  return [...text.replace(/\p{Surrogate}/gu, '\ufffd')].flatMap((character) =>
    has(character) ? [character] : Array.from(new TextEncoder().encode(character), (byte) => byteTokens()[byte]!),
  );
}
