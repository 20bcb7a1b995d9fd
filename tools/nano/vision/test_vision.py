"""Tests of nano-vision's training code: `/usr/bin/python3 -m unittest discover -s tools/nano/vision`."""
import hashlib
import sys
import unittest
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import scenes  # noqa: E402
from member import Prompts, configuration, tokenizer_contents  # noqa: E402
from phi3_vision import Phi3Vision, hd_transform, merge_2x2, normalise  # noqa: E402


class Scenes(unittest.TestCase):
    def test_pictures_are_those_of_the_evaluation(self):
        # internal/workspace-tests/test/nano-vision.test.ts expects the same number of scenes.mjs.
        digest = hashlib.sha256()
        for index in range(20):
            digest.update(scenes.draw(scenes.scene_of(1, 'held-out', index))[0].tobytes())
        self.assertEqual(digest.hexdigest(), '042807833a684cf9e0770060932f35f3707032b272b82bbe2a0474ddd070a278')

    def test_no_combination_is_in_both_splits(self):
        combination = lambda things: tuple(sorted((thing['shape'], thing['colour']) for thing in things))  # noqa: E731
        trained = {combination(scenes.scene_of(1, 'train', index, most)) for index in range(300) for most in (4, 7)}
        held_out = {combination(scenes.scene_of(1, 'held-out', index)) for index in range(300)}
        self.assertEqual(trained & held_out, set())

    def test_marks_are_drawn_and_lie_inside_a_token_of_their_own(self):
        for index in range(200):
            things = scenes.scene_of(1, 'train', index, 7)
            owner = scenes.draw(things)[1]
            places = set()
            for number, thing in enumerate(things):
                x, y = scenes.mark_of(*(thing[key] for key in ('shape', 'x', 'y', 'radius')))
                self.assertEqual(owner[y, x], number + 1)
                self.assertTrue({x % scenes.STEP, y % scenes.STEP} == {scenes.OFFSET})
                places.add((x // scenes.TOKEN, y // scenes.TOKEN))
            self.assertEqual(len(places), len(things))

    def test_questions_have_one_answer(self):
        red_circle, blue_circle = ({'shape': 0, 'colour': colour} for colour in (0, 2))
        questions = {question: answer for _, question, answer in scenes.questions_of([red_circle, blue_circle])}
        self.assertNotIn('What colour is the circle?', questions)
        self.assertEqual(questions['Which shape is red?'], 'circle')
        self.assertEqual(questions['How many shapes are circles?'], 'two')
        self.assertEqual(questions['How many shapes are squares?'], 'zero')
        self.assertNotIn('How many shapes are green?', questions)


class Model(unittest.TestCase):
    def test_questions_that_share_a_picture_are_answered_as_alone(self):
        torch.manual_seed(0)
        tokenizer = tokenizer_contents()
        prompts = Prompts(tokenizer)
        model = Phi3Vision(configuration(tokenizer)).eval()
        images = model.model.vision_embed_tokens
        picture = torch.from_numpy(scenes.draw(scenes.scene_of(1, 'train', 0))[0])
        asked = [('What colour is it?', 'red'), ('How many shapes are circles?', 'two')]
        ids, _ = prompts.rows(asked)
        before = prompts.before_image()
        with torch.no_grad():
            rows = images(*hd_transform(picture, 1))
            merged = merge_2x2(images.img_processor.vision_model(normalise(picture)[None]))
            shared = images.of_single_crops(merged)
            self.assertLess((shared[0] - rows).abs().max().item(), 1e-4)  # the global view is resampled to its own size
            together = model.forward_questions(torch.tensor(before), shared, ids[None])[0]
            for number, row in enumerate(ids):
                whole = torch.tensor([before + [-1] * len(rows) + row.tolist()])
                alone = model(whole, image_rows=rows)[0, -len(row):]
                self.assertLess((together[number] - alone).abs().max().item(), 1e-3)  # float32 sums in another order


if __name__ == '__main__':
    unittest.main()
