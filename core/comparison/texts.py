"""The same question to several models, plain and steered: read-outs, a random push, short texts.

Each model is steered at two thirds of its own depth along its own direction; the dose is in units
of its own residual norm there, so that it means the same in all of them.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.decoding import Decoding
from core.activations.extraction import check_model
from core.activations.study import Study
from core.runtime.progress import Report, part
from core.runtime.store import Store
from core.steering.edits import resolve
from core.steering.effects.controls import control_edits, held_out_prompts
from core.steering.effects.readout import ReadOut, read_out
from core.steering.generation import write
from core.steering.recipes import Recipe, Term, recipe_at
from core.wording import number

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Share of the layers below the one that is steered: meaning is made there, words are not yet.
DEPTH: Final = 2 / 3


@dataclass(frozen=True)
class Question:
    """What every model is asked."""

    prompt: str
    """A person's own prompt; it is also continued."""

    axis: str
    """Foundation or pole to steer along."""

    strength: float
    """Dose in units of each model's residual norm; 0: nothing is steered."""

    which: str
    """Which held-out actions are asked beside the prompt: one of ``effects.controls.ASKED``."""

    decoding: Decoding = field(default_factory=lambda: Decoding(tokens=30, samples=1))
    """How texts are written."""


class Answer(NamedTuple):
    """What one model answered; the person's prompt is the first, held-out actions follow."""

    recipe: Recipe
    """How it was steered."""

    texts: tuple[str, ...]
    """What was asked."""

    answers: ReadOut
    """Log odds of a right against a wrong next word, plain and steered."""

    random: NDArray[np.float64]
    """The same along a random direction of equal length, as the states vary, ``(n,)``."""

    plain: str
    """The prompt continued."""

    steered: str
    """The same, steered, from the same random numbers."""

    changed_tokens: int
    """Tokens in which the two differ."""


def recipe_for(study: Study, question: Question) -> Recipe:
    """Return how a model is steered for a question."""
    layer = min(round(DEPTH * study.card.n_layers), study.card.n_layers - 1)
    terms = (Term(question.axis, question.strength),) if question.strength else ()
    return recipe_at(study, layer, terms, decoding=question.decoding)


def ask(
    store: Store, study: Study, model: "OpenModel", question: Question, report: Report
) -> Answer:
    """Ask one model.

    Args:
        store: Where the items' states lie.
        study: Items and model.
        model: The open model.
        question: What is asked.
        report: Told the steps.

    Raises:
        CoreError: The prompt, the axis or the dose cannot be used with this model.
        Cancelled: The person cancelled.
    """
    check_model(model, study.plan)
    recipe = recipe_for(study, question)
    edits = resolve(store, study, recipe)
    asked = held_out_prompts(study, question.which)
    prompts = (question.prompt, *asked.prompts)
    report(0.0, 1, "asking for the next word")
    answers = read_out(model, prompts, edits, recipe.positions)
    random = answers.plain
    if edits:
        report(0.2, 1, "asking along a random direction")
        random = read_out(
            model, prompts, control_edits(store, study, edits), recipe.positions
        ).steered
    plain = steered = ""
    changed, most = 0, recipe.decoding.tokens
    writing = part(report, 0.4, 1.0)
    steps = write(model, question.prompt, edits, recipe.positions, recipe.decoding)
    for done, written in enumerate(steps, 1):
        plain, steered, changed = written.plain[0], written.steered[0], written.changed_tokens
        writing(done, most, f"writing · token {done} of {most}")
    texts = (question.prompt, *asked.texts)
    return Answer(recipe, texts, answers, random, plain, steered, changed)


def told_table(told: dict[str, Answer]) -> pd.DataFrame:
    """Return the read-outs of all models, a row per question and model.

    Columns: text, own (the person's prompt), side, plain, steered, change, random (change along a
    random direction), mass (chance that the plain next word is one of the words at all).

    Args:
        told: Letter of a side and what it answered.
    """
    rows = [
        (
            text,
            number == 0,
            letter,
            one.answers.plain[number],
            one.answers.steered[number],
            one.answers.shift[number],
            one.random[number] - one.answers.plain[number],
            one.answers.mass[number],
        )
        for letter, one in told.items()
        for number, text in enumerate(one.texts)
    ]
    columns = ["text", "own", "side", "plain", "steered", "change", "random", "mass"]
    return pd.DataFrame(rows, columns=columns)


def told_sentence(letter: str, one: Answer) -> str:
    """Say what one model answered, and what steering did, beside a random direction."""
    plain = float(one.answers.plain.mean())
    leans = (
        f"**{letter}** leans to {'right' if plain > 0 else 'wrong'} ({number(plain, signed=True)})"
    )
    if not one.recipe.active:
        return f"{leans}."
    change, random = float(one.answers.shift.mean()), float((one.random - one.answers.plain).mean())
    steered, other = (number(one, signed=True) for one in (change, random))
    return f"{leans}; steered {steered}, along a random direction {other}."
