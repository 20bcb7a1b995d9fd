"""One generator per task: `sample(rng)` draws any question of the task, held out or not.

`rng` is a `random.Random`. Everything that makes a question a question is in its operands; the wording is drawn too.
Answers that need working show it, one step per line, in the order in which a person would do it by hand.
"""

from .question import Question
from .words import (ACTORS, CLASSES, COLOURS, COPY_WORDS, DAYS, KINDS, NAMES, OBJECTS, OPPOSITES, PLACES, REFUSED,
                    SUBJECTS, THINGS, VERBS)


def working_of_sum(a, b):
    """The written working of a + b for 0 <= a, b <= 99, without the result line."""
    ones = a % 10 + b % 10
    carry = ones // 10
    tens = a // 10 + b // 10 + carry
    return (f'Ones: {a % 10}+{b % 10}={ones}, write {ones % 10}, carry {carry}.\n'
            f'Tens: {a // 10}+{b // 10}+{carry}={tens}.')


def working_of_difference(a, b):
    """The written working of a - b for 99 >= a >= b >= 0, without the result line."""
    borrow = 1 if a % 10 < b % 10 else 0
    top = a % 10 + 10 * borrow
    return (f'Ones: {top}-{b % 10}={top - b % 10}, borrow {borrow}.\n'
            f'Tens: {a // 10}-{b // 10}-{borrow}={a // 10 - b // 10 - borrow}.')


def _number(rng):
    """Mostly two digits, sometimes one."""
    return rng.randint(10, 99) if rng.random() < 0.88 else rng.randint(0, 9)


def _near(rng, value):
    """A wrong number that looks right."""
    return max(0, value + rng.choice([-10, -1, 1, 10]))


def addition(rng):
    a, b = _number(rng), _number(rng)
    wording = rng.choice(['What is {} + {}?', 'What is {} + {}?', 'Add {} and {}.', 'How much is {} plus {}?', '{} + {}',
                          'What is {}+{}?'])
    working = working_of_sum(a, b)
    return Question('addition', ('add', min(a, b), max(a, b)), wording.format(a, b), f'{working}\nAnswer: {a + b}.',
                    f'{working}\nAnswer: {_near(rng, a + b)}.')


def subtraction(rng):
    a, b = sorted((_number(rng), _number(rng)), reverse=True)
    wording, swapped = rng.choice([('What is {} - {}?', False), ('What is {} - {}?', False), ('Take {} from {}.', True),
                                   ('How much is {} minus {}?', False), ('{} - {}', False), ('What is {}-{}?', False)])
    working = working_of_difference(a, b)
    prompt = wording.format(b, a) if swapped else wording.format(a, b)
    return Question('subtraction', ('subtract', a, b), prompt, f'{working}\nAnswer: {a - b}.',
                    f'{working}\nAnswer: {_near(rng, a - b)}.')


def comparison(rng):
    a, b = rng.sample(range(100), 2)
    if rng.random() < 0.3:  # the same tens: the case that needs the second step
        b = a // 10 * 10 + rng.choice([digit for digit in range(10) if digit != a % 10])
    asks_larger = rng.random() < 0.6
    word = 'larger' if asks_larger else 'smaller'
    pick = max if asks_larger else min
    tens, ones = (a // 10, b // 10), (a % 10, b % 10)
    if tens[0] != tens[1]:
        working = f'Tens: {tens[0]} and {tens[1]}, {pick(tens)} is {word}.'
    else:
        working = f'Tens: {tens[0]} and {tens[1]}, the same.\nOnes: {ones[0]} and {ones[1]}, {pick(ones)} is {word}.'
    wording = rng.choice(['Which number is {}, {} or {}?', 'Which is {}: {} or {}?'])
    other = a + b - pick(a, b)
    return Question('comparison', ('compare', min(a, b), max(a, b)), wording.format(word, a, b),
                    f'{working}\nAnswer: {pick(a, b)}.', f'{working}\nAnswer: {other}.')


def sorting(rng, count=None):
    count = count or rng.choice([3, 4, 5, 5, 5, 5])
    numbers = rng.sample(range(10, 100), count)
    in_order = sorted(numbers)
    text = ', '.join(map(str, numbers))
    wording = rng.choice(['Sort these numbers: {}.', 'Sort {}.', 'Put these numbers in order: {}.'])
    wrong = in_order[:]
    at = rng.randrange(count - 1)
    wrong[at], wrong[at + 1] = wrong[at + 1], wrong[at]
    return Question('sorting', ('sort', *in_order), wording.format(text), ', '.join(map(str, in_order)) + '.',
                    ', '.join(map(str, wrong)) + '.')


def counting(rng):
    length = rng.randint(3, 9)
    start = rng.randint(0, 99 - length)
    end = start + length
    numbers = list(range(start, end + 1))
    if rng.random() < 0.3:
        numbers.reverse()
        prompt = f'Count down from {end} to {start}.'
    else:
        prompt = rng.choice(['Count from {} to {}.', 'Count from {} up to {}.']).format(start, end)
    wrong = numbers[:]
    del wrong[rng.randrange(1, len(wrong))]
    return Question('counting', ('count', start, end), prompt, ', '.join(map(str, numbers)) + '.',
                    ', '.join(map(str, wrong)) + '.')


def days(rng):
    day = rng.randrange(7)
    steps = rng.randint(1, 6)
    forward = rng.random() < 0.5
    sign = 1 if forward else -1
    passed = [DAYS[(day + sign * step) % 7] for step in range(1, steps + 1)]
    word = 'after' if forward else 'before'
    steps_text = '1 day' if steps == 1 else f'{steps} days'
    prompt = rng.choice(['Which day is {} {} {}?', 'What day comes {} {} {}?']).format(steps_text, word, DAYS[day])
    working = '\n'.join(f'{step}: {name}.' for step, name in enumerate(passed, 1))
    wrong = DAYS[(day + sign * (steps + 1)) % 7]
    return Question('days', ('day', day, steps, word), prompt, f'{working}\nAnswer: {passed[-1]}.',
                    f'{working}\nAnswer: {wrong}.')


def colours(rng):
    count = rng.choice([2, 3])
    objects, tones = rng.sample(OBJECTS, count), rng.sample(COLOURS, count)
    asked = rng.randrange(count)
    parts = [f'the {thing} is {tone}' for thing, tone in zip(objects, tones)]
    text = ', '.join(parts[:-1]) + ' and ' + parts[-1] + '.'
    prompt = f'{text[0].upper()}{text[1:]} What colour is the {objects[asked]}?'
    return Question('colours', ('colour', *objects, *tones, asked), prompt, f'The {objects[asked]} is {tones[asked]}.',
                    f'The {objects[asked]} is {tones[asked - 1]}.')


def opposites(rng):
    pair = rng.choice(OPPOSITES)
    word, opposite = pair if rng.random() < 0.5 else pair[::-1]
    subject = rng.choice(SUBJECTS)
    prompt = rng.choice(['Say the opposite: the {} is {}.', 'What is the opposite of "the {} is {}"?']).format(subject, word)
    return Question('opposites', ('opposite', subject, word), prompt, f'The {subject} is {opposite}.',
                    f'The {subject} is {word}.')


def copying(rng):
    words = rng.sample(COPY_WORDS, rng.randint(3, 7))
    prompt = rng.choice(['Repeat: {}.', 'Repeat these words: {}.', 'Copy this: {}.']).format(' '.join(words))
    wrong = words[:]
    at = rng.randrange(len(words) - 1)
    wrong[at], wrong[at + 1] = wrong[at + 1], wrong[at]
    return Question('copying', ('copy', *words), prompt, ' '.join(words) + '.', ' '.join(wrong) + '.')


def grammar(rng):
    actor, (present, past), place = rng.choice(ACTORS), rng.choice(VERBS), rng.choice(PLACES)
    prompt = rng.choice(['Put this into the past: the {} {} {}.', 'Say it in the past: the {} {} {}.']).format(
        actor, present, place)
    return Question('grammar', ('past', actor, present, place), prompt, f'The {actor} {past} {place}.',
                    f'The {actor} {present} {place}.')


def word_problems(rng):
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    a, b = _number(rng), _number(rng)
    ends = rng.choice(['How many {} are there now?', 'How many {} does that make?']).format(thing)
    if rng.random() < 0.5:
        story = rng.choice(['{0} has {1} {2}. {0} buys {3} more.', '{0} finds {1} {2} and then {3} more.',
                            'There are {1} {2} in a box. {0} adds {3}.']).format(name, a, thing, b)
        working, result, verb = working_of_sum(a, b), a + b, 'add'
        operands = ('add', min(a, b), max(a, b))
    else:
        a, b = max(a, b), min(a, b)
        story = rng.choice(['{0} has {1} {2}. {0} gives away {3}.', 'There are {1} {2} in a box. {0} takes {3}.',
                            '{0} has {1} {2} and loses {3}.']).format(name, a, thing, b)
        working, result, verb = working_of_difference(a, b), a - b, 'subtract'
        ends = ends.replace('does that make', 'are left').replace('are there now', 'are left')
        operands = ('subtract', a, b)
    return Question('word problems', operands, f'{story} {ends}', f'We {verb}.\n{working}\nAnswer: {result} {thing}.',
                    f'We {verb}.\n{working}\nAnswer: {_near(rng, result)} {thing}.')


def _a(word):
    return f'an {word}' if word[0] in 'aeiou' else f'a {word}'


def syllogisms(rng):
    (one, many), (kind, kinds), name = rng.choice(KINDS), rng.choice(CLASSES), rng.choice(NAMES)
    form = rng.choice(['all', 'no', 'other'])
    if form == 'other':
        actual = rng.choice([pair for pair in KINDS if pair[0] != one])[0]
        premise = f'All {many} are {kinds}.'
        answer = f'{name} is {_a(actual)}, not {_a(one)}.\nAnswer: we do not know.'
        mistake = f'{name} is {_a(one)}.\nAnswer: yes, {name} is {_a(kind)}.'
    else:
        actual = one
        premise = f'All {many} are {kinds}.' if form == 'all' else f'No {many} are {kinds}.'
        yes, no = f'yes, {name} is {_a(kind)}', f'no, {name} is not {_a(kind)}'
        right, wrong = (yes, no) if form == 'all' else (no, yes)
        answer = f'{name} is {_a(actual)}. {premise}\nAnswer: {right}.'
        mistake = f'{name} is {_a(actual)}. {premise}\nAnswer: {wrong}.'
    prompt = f'{premise} {name} is {_a(actual)}. Is {name} {_a(kind)}?'
    return Question('syllogisms', ('syllogism', form, one, kind, actual, name), prompt, answer, mistake)


#: What every refusal ends with.
CAN_DO = 'I can add, subtract, compare, sort and count.'


def refusals(rng):
    request, what, fillings = rng.choice(REFUSED)
    filling = rng.choice(fillings)
    return Question('refusals', ('refuse', request, filling), request.format(filling),
                    f'I am sorry, I cannot {what}. {CAN_DO}', f'{filling[0].upper()}{filling[1:]} is nice.')


TASKS = {'addition': addition, 'subtraction': subtraction, 'comparison': comparison, 'sorting': sorting,
         'counting': counting, 'days': days, 'colours': colours, 'opposites': opposites, 'copying': copying,
         'grammar': grammar, 'word problems': word_problems, 'syllogisms': syllogisms, 'refusals': refusals}
