"""A small SentencePiece-style BPE: trained here, written as a `tokenizer.json` in the layout of Phi-3-mini's, and an encoder
of its own, so that training shares no code with the package that later reads the file.

Ids: `<unk>` 0, `<s>` 1, `</s>` 2, the 256 bytes, then characters and merged pieces up to BASE, then the added tokens in
the order of the published ones. Digits are never merged: a number is its digits.
"""

import json
import re
from collections import Counter

#: Pieces below the added tokens. Phi-3 has 32000, and 64 rows above them; so have the nano models.
BASE = 960
SPACE = '\u2581'

# Merges stay inside one of these: a word with the space before it, a sign with the space before it, a space, a digit.
# Text may therefore be cut here before merging, and gives what merging all of it at once would give.
_UNIT = re.compile(f'{SPACE}?[A-Za-z]+|{SPACE}?[^A-Za-z0-9{SPACE}\\n]|{SPACE}|[0-9]|\\n')


def train_bpe(texts, base=BASE):
    """Learns pieces from texts. Returns `(pieces, merges)`; `len(pieces) <= base`.

    Ties are broken by the pair itself, so that the same texts give the same pieces everywhere.
    """
    counts = Counter()
    for text in texts:
        counts.update(_UNIT.findall(SPACE + text.replace(' ', SPACE)))
    words = {unit: list(unit) for unit in counts if unit != '\n'}
    characters = sorted({character for word in words for character in word} | set('0123456789'))
    characters += [c for c in map(chr, range(33, 127)) if c not in characters]  # what people type
    pieces = ['<unk>', '<s>', '</s>'] + [f'<0x{byte:02X}>' for byte in range(256)] + characters
    known, merges = set(pieces), []
    while len(pieces) < base:
        pairs = Counter()
        for unit, word in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += counts[unit]
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        if left + right not in known:
            known.add(left + right)
            pieces.append(left + right)
        for unit, word in words.items():
            words[unit] = _merge(word, left, right)
    return pieces, merges


def _merge(word, left, right):
    merged, at = [], 0
    while at < len(word):
        if at + 1 < len(word) and word[at] == left and word[at + 1] == right:
            merged.append(left + right)
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return merged


def _added(content, rstrip=False, special=True):
    return {'content': content, 'single_word': False, 'lstrip': False, 'rstrip': rstrip, 'normalized': False,
            'special': special}


def _placeholders(first, last):
    return [f'<|placeholder{number}|>' for number in range(first, last + 1)]


def added_tokens(style, base=BASE):
    """The added tokens of a member, in id order, with the flags of its published files.

    `style` is `phi-3-mini` (also medium, 3.5-mini and MoE), `phi-3-vision` or `phi-3-small`.
    """
    if style == 'phi-3-small':
        names = (['<|dummy_id_2|>', '<|endoftext|>', '<|fim_prefix|>', '<|fim_middle|>', '<|fim_suffix|>', '<|system|>',
                  '<|user|>', '<|assistant|>', '<|dummy_id_0|>', '<|dummy_id_1|>', '<|end|>']
                 + [f'<|dummy_id_{number}|>' for number in range(3, 12)] + ['<|endofprompt|>']
                 + [f'<|dummy_id_{number}|>' for number in range(12, 87)])
        end = _added('</s>')
        rest = [_added(name) for name in names]
    else:
        names = (['<|endoftext|>', '<|assistant|>'] + _placeholders(1, 4) + ['<|system|>', '<|end|>']
                 + _placeholders(5, 6) + ['<|user|>'])
        keeps = {'<|endoftext|>'}
        if style == 'phi-3-vision':
            names += _placeholders(7, 39) + ['<|image|>']
            keeps |= {'<|system|>', '<|end|>', '<|user|>'}
        end = _added('</s>', rstrip=True, special=False)
        rest = [_added(name, rstrip=name not in keeps) for name in names]
    tokens = [_added('<unk>'), _added('<s>'), end] + rest
    ids = [0, 1, 2] + list(range(base, base + len(rest)))
    return [{'id': id, **token} for id, token in zip(ids, tokens)]


def tokenizer_json(pieces, merges, style):
    """The contents of `tokenizer.json`: the components of the published one, with other pieces."""
    single = [{'Sequence': {'id': 'A', 'type_id': 0}}]
    pair = single + [{'Sequence': {'id': 'B', 'type_id': 1}}]
    special_tokens = {}
    if style == 'phi-3-vision':
        begin = [{'SpecialToken': {'id': '<s>', 'type_id': 0}}]
        pair = begin + single + [{'SpecialToken': {'id': '<s>', 'type_id': 1}}] + pair[1:]
        single = begin + single
        special_tokens = {'<s>': {'id': '<s>', 'ids': [1], 'tokens': ['<s>']}}
    return {
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added_tokens(style, len(pieces)),
        'normalizer': {'type': 'Sequence', 'normalizers': [
            {'type': 'Prepend', 'prepend': SPACE},
            {'type': 'Replace', 'pattern': {'String': ' '}, 'content': SPACE}]},
        'pre_tokenizer': None,
        'post_processor': {'type': 'TemplateProcessing', 'single': single, 'pair': pair, 'special_tokens': special_tokens},
        'decoder': {'type': 'Sequence', 'decoders': [
            {'type': 'Replace', 'pattern': {'String': SPACE}, 'content': ' '}, {'type': 'ByteFallback'}, {'type': 'Fuse'},
            {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]},
        'model': {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'continuing_subword_prefix': None,
                  'end_of_word_suffix': None, 'fuse_unk': True, 'byte_fallback': True,
                  'vocab': {piece: id for id, piece in enumerate(pieces)},
                  'merges': [f'{left} {right}' for left, right in merges]},
    }


def tokenizer_config(style, template, model_max_length, base=BASE):
    """The contents of `tokenizer_config.json`."""
    small = style == 'phi-3-small'
    decoder = {}
    for token in added_tokens(style, base):
        decoder[str(token['id'])] = {key: value for key, value in token.items() if key != 'id'}
    return {'add_bos_token': style == 'phi-3-vision', 'add_eos_token': False, 'added_tokens_decoder': decoder,
            'bos_token': '<|endoftext|>' if small else '<s>', 'chat_template': template,
            'clean_up_tokenization_spaces': False, 'eos_token': '<|endoftext|>', 'legacy': False,
            'model_max_length': model_max_length, 'pad_token': '<|endoftext|>', 'padding_side': 'left',
            'sp_model_kwargs': {}, 'tokenizer_class': 'LlamaTokenizer', 'unk_token': '<unk>',
            'use_default_system_prompt': False}


class Tokenizer:
    """Encodes and decodes by the contents of a `tokenizer.json` of {@link tokenizer_json}."""

    def __init__(self, contents):
        self.ids = dict(contents['model']['vocab'])
        self.ranks = {tuple(pair.split(' ')): rank for rank, pair in enumerate(contents['model']['merges'])}
        self.added = {token['content']: token for token in contents['added_tokens']}
        self.specials = {content: token['id'] for content, token in self.added.items()}
        self.texts = {id: piece for piece, id in self.ids.items()}
        self.texts.update({token['id']: content for content, token in self.added.items()})
        by_length = sorted(self.added, key=len, reverse=True)
        self._split = re.compile('(' + '|'.join(
            re.escape(name) + ('\\s*' if self.added[name]['rstrip'] else '') for name in by_length) + ')')
        self._cache = {}

    @classmethod
    def load(cls, path):
        with open(path, encoding='utf-8') as file:
            return cls(json.load(file))

    def encode(self, text):
        """Ids of a text; added tokens in it are recognised. No token is put in front."""
        return self.encode_segments([(text, 1.0)])[0]

    def encode_segments(self, segments):
        """Ids and weights of `(text, weight)` segments, tokenized as the one text they form.

        Segments must begin where the text would be cut anyway: at an added token, at a line, or at its beginning.
        """
        ids, weights = [], []
        fresh, swallow = True, False  # a space goes in front; white space of the text disappears
        for text, weight in segments:
            before = len(ids)
            for part in self._split.split(text):
                name = part.rstrip()
                if name in self.specials and part:
                    ids.append(self.specials[name])
                    fresh, swallow = True, self.added[name]['rstrip']
                    continue
                if swallow:
                    part = part.lstrip()
                if not part:
                    continue
                for unit in _UNIT.findall((SPACE if fresh else '') + part.replace(' ', SPACE)):
                    ids += self._encode_unit(unit)
                fresh, swallow = False, False
            weights += [weight] * (len(ids) - before)
        return ids, weights

    def _encode_unit(self, unit):
        known = self._cache.get(unit)
        if known is None:
            word = list(unit)
            while len(word) > 1:
                rank, at = min((self.ranks.get(pair, 1 << 30), at) for at, pair in enumerate(zip(word, word[1:])))
                if rank == 1 << 30:
                    break
                word[at:at + 2] = [word[at] + word[at + 1]]
            known = []
            for piece in word:
                if piece in self.ids:
                    known.append(self.ids[piece])
                else:
                    known += [3 + byte for byte in piece.encode('utf-8')]
            self._cache[unit] = known
        return known

    def decode(self, ids):
        """Text of ids, added tokens left out."""
        data = bytearray()
        for id in ids:
            if 3 <= id < 259:
                data.append(id - 3)
            elif id in self.texts and self.texts[id] not in self.specials:
                data += self.texts[id].replace(SPACE, ' ').encode('utf-8')
        text = data.decode('utf-8', errors='replace')
        return text[1:] if text.startswith(' ') else text
