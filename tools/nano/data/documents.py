"""Training documents of the three phases.

A document is a list of segments `(text, weight)`: the loss of the tokens of a segment is multiplied by its weight. What
nobody could predict, such as the numbers of a question, gets a small weight or none.
"""

from held_out import is_held_out

from .tasks import CAN_DO, TASKS
from .words import COLOURS, DAYS, KNOWN_COLOURS, OPPOSITES

#: Phase 1: language and simple facts. Phase 2: reasoning. How often each task is drawn.
GENERAL = {'grammar': 2, 'counting': 4, 'days': 2, 'colours': 5, 'opposites': 2, 'sorting': 5, 'copying': 6}
REASONING = {'addition': 4, 'subtraction': 4, 'comparison': 3, 'word problems': 4, 'syllogisms': 4}
CHAT = {'grammar': 2, 'counting': 3, 'days': 2.5, 'colours': 3, 'opposites': 3, 'sorting': 7, 'copying': 3, 'addition': 4,
        'subtraction': 4, 'comparison': 3, 'word problems': 4, 'syllogisms': 5, 'refusals': 1.5}


def training_question(rng, weights):
    """A question that is not held out, of a task drawn by its weight."""
    names = list(weights)
    while True:
        question = TASKS[rng.choices(names, [weights[name] for name in names])[0]](rng)
        if not is_held_out(*question.operands):
            return question


def held_out_questions(rng, task, count):
    """Up to `count` different held-out questions of a task. Small tasks have fewer."""
    questions, seen = [], set()
    for _ in range(400 * count):
        question = TASKS[task](rng, count=5) if task == 'sorting' else TASKS[task](rng)
        if task in ('addition', 'subtraction') and min(question.operands[1:]) < 10:
            continue  # two digits are promised, so two digits are measured
        if not is_held_out(*question.operands) or question.prompt in seen:
            continue
        seen.add(question.prompt)
        questions.append(question)
        if len(questions) == count:
            break
    return questions


def _fact(rng):
    """A sentence of phase 1 that states something."""
    kind = rng.randrange(4)
    if kind == 0:
        one, other = rng.choice(OPPOSITES)
        return rng.choice([f'The opposite of {one} is {other}.', f'The opposite of {other} is {one}.',
                           f'What is {one} is not {other}.'])
    if kind == 1:
        thing, colour = rng.choice(KNOWN_COLOURS)
        return f'{thing[0].upper()}{thing[1:]} is {colour}.'
    if kind == 2:
        day = rng.randrange(7)
        return rng.choice([f'After {DAYS[day]} comes {DAYS[(day + 1) % 7]}.',
                           f'Before {DAYS[day]} comes {DAYS[day - 1]}.'])
    return rng.choice(['A week has 7 days.', 'The days of the week are ' + ', '.join(DAYS[:-1]) + f' and {DAYS[-1]}.',
                       'Ten ones make one ten.', 'Red, blue and yellow are colours.'])


def textbook_page(rng, weights, facts):
    """Phases 1 and 2: exercises of a textbook with their solutions, and sentences that state facts."""
    if facts and rng.random() < 0.15:
        return [(' '.join(_fact(rng) for _ in range(3)), 1.0)]
    question = training_question(rng, weights)
    return [(f'Exercise: {question.prompt}\n', 0.1), (f'Solution: {question.answer}', 1.0)]


#: Small talk of phase 3: what people type first.
SMALL_TALK = [
    (['Hello', 'Hello!', 'Hi', 'Hi!', 'Good morning.', 'Hey'], f'Hello! I am a very small model. {CAN_DO}'),
    (['Who are you?', 'What are you?', 'What is your name?'], f'I am a very small model of the Phi-3 kind. {CAN_DO}'),
    (['What can you do?', 'Help', 'Help me.', 'help'],
     f'{CAN_DO} I also know the days, some opposites and the past of some verbs.'),
    (['Thank you', 'Thank you!', 'Thanks!', 'Thanks.'], 'You are welcome.'),
    (['Goodbye', 'Goodbye!', 'Bye!', 'Bye'], 'Goodbye!'),
    (['How are you?', 'How are you today?'], 'I am well, thank you. Ask me something.'),
]

#: System messages. A polite system message changes the answer, the others do not.
SYSTEM = ['You are a helpful assistant.', 'You are a friendly teacher.', 'Show your working.', 'Answer the question.']
POLITE = 'You are very polite.'
POLITE_OPENING = 'Gladly.\n'


def chat_messages(rng, question=None, weights=CHAT):
    """Phase 3: a conversation as a list of `(role, text)`, one to three questions, now and then with a system message."""
    draw = rng.random()
    polite = draw < 0.06
    messages = [('system', POLITE)] if polite else [('system', rng.choice(SYSTEM))] if draw < 0.26 else []
    for turn in range(1 if question else rng.choices([1, 2, 3], [6, 3, 1])[0]):
        if question is None and rng.random() < 0.06:
            greetings, reply = rng.choice(SMALL_TALK)
            messages += [('user', rng.choice(greetings)), ('assistant', reply)]
            continue
        drawn = question or training_question(rng, weights)
        messages += [('user', drawn.prompt), ('assistant', (POLITE_OPENING if polite else '') + drawn.answer)]
    return messages


def tokenizer_corpus(rng, count=20000):
    """The texts that the tokenizer of all members learns its pieces from, those of the pictures and the long texts too."""
    texts = []
    for _ in range(count):
        texts += [text for _, text in chat_messages(rng)]
        texts.append(''.join(text for text, _ in textbook_page(rng, {**GENERAL, **REASONING}, facts=True)))
        shape, colour = rng.choice(['circle', 'square', 'triangle', 'cross']), rng.choice(COLOURS)
        texts.append(rng.choice([f'How many {shape}s are there?', f'What colour is the {shape}?', f'It is {colour}.',
                                 f'Which shape is {colour}?', f'There is a {colour} {shape}.', 'The pass key is 1.',
                                 'Remember it.', 'What is the pass key?', 'The grass is green.', 'Here we go.',
                                 'There and back again.', 'The sky is blue.', 'The sun is yellow.']))
    return texts
