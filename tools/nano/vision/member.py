"""What nano-vision is: its configuration, tokenizer and prompts, and the files of the published layout."""

import sys
from pathlib import Path

import torch

import scenes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from chat import TEMPLATES, chat_prompt  # noqa: E402
from checkpoint import write_checkpoint, write_json  # noqa: E402
from phi3_vision import MEAN, STD  # noqa: E402
from tokenizer import Tokenizer, tokenizer_config, tokenizer_json, train_bpe  # noqa: E402

STYLE = 'phi-3-vision'
PLACEHOLDER = '<|image_1|>'
MAX_POSITIONS = 512
#: Pictures are one crop: the size in which they are drawn.
NUM_CROPS = 1


def tokenizer_contents():
    """Pieces for the words of all questions and answers, and the added tokens of Phi-3-vision."""
    texts = {text for index in range(200) for one in scenes.questions_of(scenes.scene_of(1, 'train', index)) for text in one[1:]}
    return tokenizer_json(*train_bpe(sorted(texts)), STYLE)


def vocabulary_size(tokenizer):
    return 1 + max(token['id'] for token in tokenizer['added_tokens'])


def configuration(tokenizer):
    """With the keys of Phi-3-vision-128k-instruct; `clip_config` states the tower's sizes, which are not the published ones."""
    ids = {token['content']: token['id'] for token in tokenizer['added_tokens']}
    return {
        'architectures': ['Phi3VForCausalLM'], 'attention_dropout': 0.0, 'bos_token_id': 1,
        'embd_layer': {'embedding_cls': 'image', 'hd_transform_order': 'sub_glb', 'projection_cls': 'mlp',
                       'use_hd_transform': True, 'with_learnable_separator': True},
        'embd_pdrop': 0.0, 'eos_token_id': 2, 'hidden_act': 'silu', 'hidden_size': 256,
        'img_processor': {
            'image_dim_out': 256, 'model_name': 'openai/clip-vit-large-patch14-336', 'name': 'clip_vision_model',
            'num_img_tokens': 144,
            'clip_config': {'attention_dropout': 0.0, 'hidden_act': 'quick_gelu', 'hidden_size': 256, 'image_size': 336,
                            'intermediate_size': 256, 'layer_norm_eps': 1e-05, 'num_attention_heads': 4,
                            'num_channels': 3, 'num_hidden_layers': 2, 'patch_size': 14}},
        'initializer_range': 0.02, 'intermediate_size': 256, 'max_position_embeddings': MAX_POSITIONS,
        'model_type': 'phi3_v', 'num_attention_heads': 4, 'num_hidden_layers': 2, 'num_key_value_heads': 4,
        'original_max_position_embeddings': MAX_POSITIONS, 'pad_token_id': ids['<|endoftext|>'], 'resid_pdrop': 0.0,
        'rms_norm_eps': 1e-05, 'rope_scaling': None, 'rope_theta': 1000000.0, 'sliding_window': None, 'tie_word_embeddings': False,
        'torch_dtype': 'bfloat16', 'use_cache': True, 'vocab_size': vocabulary_size(tokenizer)}


def write_member(folder, model, tokenizer):
    """The whole checkpoint."""
    ids = {token['content']: token['id'] for token in tokenizer['added_tokens']}
    ends = [ids[name] for name in ('</s>', '<|endoftext|>', '<|assistant|>', '<|end|>')]
    base = len(tokenizer['model']['vocab'])
    write_checkpoint(folder, model, tokenizer, tokenizer_config(STYLE, TEMPLATES[STYLE], MAX_POSITIONS, base),
                     {'bos_token_id': 1, 'eos_token_id': ends, 'pad_token_id': ids['<|endoftext|>']})
    write_json(folder / 'preprocessor_config.json', {
        'image_mean': MEAN, 'image_processor_type': 'Phi3VImageProcessor', 'image_std': STD, 'num_crops': NUM_CROPS,
        'num_img_tokens': 144, 'processor_class': 'Phi3VProcessor'})


class Prompts:
    """Ids of a prompt with a picture: the text before and after the picture is tokenized apart, each with its own `<s>`."""

    def __init__(self, tokenizer):
        self.tokenizer = Tokenizer(tokenizer)
        self.end = self.tokenizer.specials['<|end|>']

    def _pieces(self, question):
        text = chat_prompt([('user', f'{PLACEHOLDER}\n{question}')], STYLE)
        return [[1] + self.tokenizer.encode(piece) for piece in text.split(PLACEHOLDER)]

    def before_image(self):
        return self._pieces('')[0]

    def after_image(self, question):
        return self._pieces(question)[1]

    def answer(self, text):
        return self.tokenizer.encode(text) + [self.end]

    def word(self, text):
        """The one id of a word that follows nothing."""
        (id,) = self.tokenizer.encode(text)
        return id

    def rows(self, asked):
        """Ids `[N, T]` of pairs of question and answer, and the same shifted by one where an answer is wanted, else -100."""
        pairs = [(self.after_image(question), self.answer(answer)) for question, answer in asked]
        length = max(len(question) + len(answer) for question, answer in pairs) - 1
        ids = torch.zeros(len(pairs), length, dtype=torch.long)
        targets = torch.full((len(pairs), length), -100)
        for row, (question, answer) in enumerate(pairs):
            whole = question + answer
            ids[row, : len(whole) - 1] = torch.tensor(whole[:-1])
            targets[row, len(question) - 1 : len(whole) - 1] = torch.tensor(answer)
        return ids, targets
