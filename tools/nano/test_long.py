"""Tests of the data of nano-mini-long: `/usr/bin/python3 -m unittest discover -s tools/nano`."""

import random
import re
import sys
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER / 'long'))

from common import LONG_LENGTH, TRAINING_LENGTH, encode, open_tokenizer  # noqa: E402
from documents import PASSKEY_TASK, REPEATED, characters_for, passkey_conversation  # noqa: E402
from train_passkeys import Rows  # noqa: E402


class LongData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = open_tokenizer()[1]

    def rows(self, seed=1):
        return Rows(random.Random(seed), self.tokenizer)

    def test_the_wording_is_that_of_the_evaluation(self):
        evals = FOLDER.parents[1] / 'packages/evals/src'
        self.assertIn(f"'{PASSKEY_TASK}'", (evals / 'tasks/passkey.ts').read_text(encoding='utf-8'))
        sentences = re.findall(r"^  '(.*)',$", (evals / 'filler.ts').read_text(encoding='utf-8'), re.MULTILINE)[:5]
        self.assertEqual(' '.join(sentences) + ' ', REPEATED)

    def test_a_pass_key_is_said_twice_and_answered_within_its_row(self):
        rows = self.rows()
        for length in (144, TRAINING_LENGTH, LONG_LENGTH):
            ids, weights = rows.passkey(length)
            self.assertLessEqual(len(ids), length)
            text = self.tokenizer.decode(ids)
            key = re.search(r'The pass key is (\d+)\. Remember it\. (\d+) is the pass key\.', text)
            self.assertEqual(key[1], key[2])
            self.assertTrue(1 <= int(key[1]) <= 50000)
            answer = self.tokenizer.decode([id for id, weight in zip(ids, weights) if weight])
            self.assertIn(f'The pass key is {key[1]}.', answer)

    def test_a_depth_says_where_the_key_is(self):
        characters = characters_for(self.tokenizer, 500)
        for depth in (0, 0.5, 1):
            text = passkey_conversation(random.Random(2), characters, depth=depth)[0][1]
            before, after = re.split(r'The pass key is \d+.*', text)
            self.assertAlmostEqual((len(before) - len(PASSKEY_TASK)) / characters, depth, delta=0.02)
            self.assertAlmostEqual(len(after) / characters, 1 - depth, delta=0.02)

    def test_what_comes_again_counts_only_where_it_was_said_before(self):
        rows = self.rows(3)
        for _ in range(20):
            ids, weights = rows.lookups(192, 8)
            for row, counts in zip(ids.tolist(), weights.tolist()):
                first = counts.index(1.0)
                wanted = [id for id, count in zip(row, counts) if count]
                if self.tokenizer.specials['<|assistant|>'] not in row:
                    self.assertTrue(set(wanted) <= set(row[:first]))

    def test_positions_have_gaps_and_end_in_the_long_range(self):
        rows = self.rows(4)
        for _ in range(50):
            positions = rows.positions(191).tolist()
            self.assertEqual(positions[0], 0)
            self.assertTrue(all(a < b for a, b in zip(positions, positions[1:])))
            self.assertTrue(TRAINING_LENGTH <= positions[-1] < LONG_LENGTH)

    def test_a_seed_gives_the_same_rows(self):
        one, other = ((*rows.lookups(144, 14), *rows.conversations('short')) for rows in (self.rows(5), self.rows(5)))
        self.assertTrue(all((a == b).all() for a, b in zip(one, other)))
        self.assertEqual([self.rows(6).passkey(512)], [self.rows(6).passkey(512)])


if __name__ == '__main__':
    unittest.main()
