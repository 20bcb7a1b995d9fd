"""What every task gives: one question with its answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question, its one right answer, and what decides whether it is held out.

    Every question has exactly one right answer, worded one way, its working included: it is judged letter by letter.
    """

    task: str
    operands: tuple
    prompt: str
    answer: str
    #: The same answer with one plausible mistake, for preference pairs; None where there is no obvious one.
    mistake: str = None
