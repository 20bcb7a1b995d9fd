"""Tests of the training code: `/usr/bin/python3 -m unittest discover -s tools/nano`."""

import json
import os
import random
import re
import unittest
from pathlib import Path

import torch

from beginnings import begin_with_lookups
from chat import TEMPLATES, chat_prompt, chat_segments
from checkpoint import load_model, read_safetensors
from data.documents import CHAT, GENERAL, REASONING, chat_messages, textbook_page, training_question
from data.patterns import Patterns
from fake_quantization import RoundToQ40, RoundToQ4K, set_fake_quantization
from held_out import is_held_out
from make_questions import held_out_set
from members import MEMBERS
from model import Cache, create_model, generate, gegelu, sparse_mixer
from optimizer import Optimizer
from train import shared_pieces
from tokenizer import Tokenizer, tokenizer_json

FOLDER = Path(__file__).resolve().parent
SHARED = Path(os.environ.get('PHIBLOCKS_SHARED', FOLDER.parents[2] / 'shared'))


class HeldOut(unittest.TestCase):
    def test_questions_file_is_what_its_script_writes(self):
        written = json.loads((FOLDER / 'held-out-questions.json').read_text(encoding='utf-8'))
        made = [(q.task, q.prompt, q.answer) for questions in held_out_set().values() for q in questions]
        self.assertEqual([(q['task'], q['prompt'], q['answer']) for q in written], made)

    def test_no_phase_contains_a_held_out_question(self):
        questions = json.loads((FOLDER / 'held-out-questions.json').read_text(encoding='utf-8'))
        prompts = {question['prompt'] for question in questions}
        self.assertTrue(all(is_held_out(*question['operands']) for question in questions))
        rng = random.Random(5)
        for _ in range(30_000):
            for weights in (GENERAL, REASONING, CHAT):
                question = training_question(rng, weights)
                self.assertFalse(is_held_out(*question.operands))
                self.assertNotIn(question.prompt, prompts)
        for _ in range(30_000):
            for role, text in chat_messages(rng):
                self.assertNotIn(text, prompts)
            page = ''.join(text for text, _ in textbook_page(rng, {**GENERAL, **REASONING}, facts=True))
            self.assertNotIn(page.split('\n')[0].replace('Exercise: ', ''), prompts)

    def test_a_sum_is_held_out_in_both_orders_and_inside_word_problems(self):
        rng = random.Random(6)
        for _ in range(2000):
            question = training_question(rng, {'addition': 1, 'word problems': 1, 'subtraction': 1})
            kind, first, second = question.operands
            self.assertFalse(is_held_out(kind, first, second))
            if kind == 'add':
                self.assertLessEqual(first, second)


class LookingUp(unittest.TestCase):
    def patterns(self, style='phi-3-mini'):
        return Patterns(Tokenizer(tokenizer_json(*shared_pieces(), style)))

    def test_what_counts_in_repeats_and_recalls_can_be_found_before(self):
        patterns, rng = self.patterns(), random.Random(8)
        for kind in ('repeats', 'recall'):
            for _ in range(2000):
                ids, weights = patterns.draw(rng, kind)
                self.assertEqual(len(ids), len(weights))
                counted = [at for at, weight in enumerate(weights) if weight > 0]
                self.assertTrue(counted)
                for at in counted:
                    followers = {ids[before + 1] for before in range(at - 1) if ids[before] == ids[at - 1]}
                    self.assertIn(ids[at], followers)

    def test_lists_and_numbers_of_patterns_are_never_held_out(self):
        patterns, rng = self.patterns(), random.Random(9)
        for _ in range(3000):
            lines = patterns.tokenizer.decode(patterns.draw(rng, 'order')[0]).strip().split('\n')
            for given, answer in zip(lines[0::2], lines[1::2]):
                numbers = [int(number) for number in answer.rstrip('.').split(', ')]
                self.assertEqual(numbers, sorted(int(number) for number in given.rstrip('.').split(', ')))
                self.assertFalse(is_held_out('sort', *numbers))
            for line in patterns.tokenizer.decode(patterns.draw(rng, 'larger')[0]).strip().split('\n'):
                word, a, b, answer = re.fullmatch(r'(\w+), (\d+) or (\d+): (\d+)\.', line).groups()
                self.assertEqual(int(answer), (max if word == 'larger' else min)(int(a), int(b)))
                self.assertFalse(is_held_out('compare', *sorted((int(a), int(b)))))

    def test_members_begin_able_to_find_what_came_before(self):
        for name, member in MEMBERS.items():
            torch.manual_seed(0)
            model = create_model(member['config'])
            begin_with_lookups(model)
            patterns, rng = self.patterns(member['style']), random.Random(10)
            right = total = 0
            for _ in range(30):
                ids, weights = patterns.draw(rng, 'repeats')
                with torch.no_grad():
                    best = model.eval()(torch.tensor([ids[:-1]]))[0].argmax(-1).tolist()
                right += sum(got == wanted for got, wanted, weight in zip(best, ids[1:], weights[1:]) if weight)
                total += sum(weight > 0 for weight in weights)
            self.assertGreater(right / total, 0.05, name)  # by chance it is one in 700


class Optimizing(unittest.TestCase):
    def test_every_parameter_is_trained_once_and_heads_routers_and_biases_take_small_steps(self):
        for name, member in MEMBERS.items():
            model = create_model(member['config'])
            optimizer = Optimizer(model)
            names = {id(parameter): name for name, parameter in model.named_parameters()}
            shares = {names[id(p)]: group['share'] for group in optimizer.adam.param_groups for p in group['params']}
            self.assertEqual(sorted([*shares, *(names[id(p)] for p in optimizer.matrices)]), sorted(names.values()))
            head = 'model.embed_tokens.weight' if name == 'nano-small' else 'lm_head.weight'
            self.assertEqual(shares[head], 0.1)
            for parameter, share in shares.items():
                if parameter.endswith('gate.weight'):
                    self.assertEqual(share, 0.01, parameter)
                elif parameter.endswith('.bias') and parameter != 'lm_head.bias':
                    self.assertEqual(share, 0.05, parameter)


class Tokenization(unittest.TestCase):
    def test_segments_are_the_text_they_form_and_come_back(self):
        pieces, merges = shared_pieces()
        rng = random.Random(7)
        for member in MEMBERS.values():
            tokenizer = Tokenizer(tokenizer_json(pieces, merges, member['style']))
            for _ in range(300):
                messages = chat_messages(rng)
                segments = chat_segments(messages, member['template'])
                whole = ''.join(text for text, _ in segments)
                self.assertEqual(tokenizer.encode_segments(segments)[0], tokenizer.encode(whole))
                # What generation starts from is the beginning of what training saw.
                prompt = tokenizer.encode(chat_prompt(messages[:-1], member['template']))
                self.assertEqual(tokenizer.encode(whole)[:len(prompt)], prompt)
                for _, text in messages:
                    self.assertEqual(tokenizer.decode(tokenizer.encode(text)), text)

    @unittest.skipUnless(SHARED.exists(), 'needs the shared reference data')
    def test_templates_are_the_published_ones(self):
        for name, template in TEMPLATES.items():
            published = (SHARED / 'tokenizers' / name / 'chat_template.jinja').read_text(encoding='utf-8')
            self.assertEqual(template, published)


class Models(unittest.TestCase):
    def test_values_by_hand(self):
        pairs = torch.tensor([[1.0, 0.5], [-2.0, 3.0], [25.0, -30.0]])
        for got, expected in zip(gegelu(pairs, 20.0).flatten().tolist(), [1.2686936, -0.2573655, -380]):
            self.assertAlmostEqual(got, expected, places=5)
        choices, weights = sparse_mixer(torch.tensor([[2, 1.98, 1, 0.99], [-1, -1.01, -2, -3]]), 0.01)
        self.assertEqual(choices.tolist(), [[0, 1], [0, 1]])
        for got, expected in zip(weights.flatten().tolist(), [0.505, 1.0, 0.5025, 1.0]):
            self.assertAlmostEqual(got, expected, places=4)
        # 16 levels from the element of largest magnitude, which is level 0: -8 / 8 = 1 per level.
        row = torch.zeros(1, 32)
        row[0, :4] = torch.tensor([-8.0, 2.2, 6.9, 7.6])
        self.assertEqual(RoundToQ40.apply(row)[0, :4].tolist(), [-8, 2, 7, 7])
        # From a minimum of -15 in steps of 2; the second block has half of both, and the others have nothing.
        row = torch.zeros(1, 256)
        row[0, :4], row[0, 32:36] = torch.tensor([-15.0, 15, 0.5, 8.3]), torch.tensor([-7.5, 7.5, 0.1, 4])
        rounded = RoundToQ4K.apply(row)
        self.assertLess((rounded[0, :4] - torch.tensor([-15.0, 15, 1, 9])).abs().max(), 0.01)
        # 31.5 of 63 steps are 32.
        self.assertLess((rounded[0, 32:36] - torch.tensor([-7.62, 7.62, 0.51, 3.56])).abs().max(), 0.02)
        self.assertEqual(rounded[0, 64:].abs().max(), 0)

    def test_rounds_what_files_round(self):
        rounded = lambda model: {name for name, module in model.named_modules() if getattr(module, 'weight_noise', None)}
        for name in ('nano-moe', 'nano-small'):
            model = create_model(MEMBERS[name]['config']).eval()
            set_fake_quantization(model, 'q4_0')
            layers = {key for key in rounded(model) if key.startswith('model.layers.')}
            self.assertEqual(rounded(model) - layers, {'lm_head'} if name == 'nano-moe' else set())
            # The embedding of nano-small is its head.
            set_fake_quantization(model, 'q4_k', as_files=True)
            self.assertEqual(rounded(model) - layers, {'model.embed_tokens'} if name == 'nano-moe' else set())
            ids = torch.arange(900).view(30, 30)
            with torch.no_grad():
                embed = model.model.embed_tokens
                wanted = RoundToQ4K.apply(embed.weight) if name == 'nano-moe' else embed.weight
                self.assertTrue((embed(ids) == wanted[ids]).all())
            set_fake_quantization(model, None, as_files=True)
            self.assertEqual(rounded(model), set())

    def test_token_by_token_is_the_whole_prompt(self):
        torch.manual_seed(0)
        for member in MEMBERS.values():
            model = create_model(member['config']).eval()
            ids = torch.randint(0, 900, (1, 120))
            with torch.no_grad():
                whole = model(ids)[0]
                cache = Cache(member['config']['num_hidden_layers'])
                parts = torch.cat([model(part, cache)[0] for part in ids.split([50, 1, 69], 1)])
            kept = torch.isfinite(whole)
            self.assertLess((whole - parts)[kept].abs().max().item(), 1e-4)  # float32 sums in another order

    def test_documents_in_a_row_do_not_see_each_other(self):
        torch.manual_seed(0)
        model = create_model(MEMBERS['nano-mini']['config']).eval()
        first, second = torch.randint(0, 900, (1, 30)), torch.randint(0, 900, (1, 40))
        numbers = torch.tensor([[0] * 30 + [1] * 40])
        with torch.no_grad():
            packed = model(torch.cat([first, second], 1), documents=numbers)[0, 30:]
            alone = model(second)[0]
        self.assertLess((packed - alone).abs().max().item(), 1e-4)  # float32, angles at other positions

    @unittest.skipUnless(SHARED.exists(), 'needs the shared reference data')
    def test_agrees_with_the_published_code(self):
        # Random weights in the published layout and what the published code computes of them; see their PROVENANCE.
        for name in ['phi3-mha-a', 'phi3-gqa4-a', 'phi3-window-a', 'phi3-longrope-a', 'phi3small-8k-a',
                     'phi3small-bf16-clamp-a', 'phimoe-16experts-a', 'phimoe-longrope-a', 'phimoe-bf16-a']:
            folder = SHARED / 'goldens' / name
            if not (folder / 'model.safetensors').exists():
                continue  # in two files, which this reader does not join
            case = json.loads((folder / 'case.json').read_text(encoding='utf-8'))
            expected = read_safetensors(folder / 'expected.safetensors')
            model = load_model(folder)
            for run in case['runs']:
                ids = expected[run['name'] + '/input_ids'].long().tolist()
                with torch.no_grad():
                    logits = model(torch.tensor([ids]))[0]
                kept = torch.isfinite(logits)
                difference = (logits - expected[run['name'] + '/logits'])[kept].abs().max().item()
                self.assertLess(difference, 8e-5, f'{name} {run["name"]}')
                if not run.get('rope_branch_switches_during_greedy'):
                    self.assertEqual(generate(model, ids, [], 16), expected[run['name'] + '/greedy_ids'].long().tolist())


if __name__ == '__main__':
    unittest.main()
