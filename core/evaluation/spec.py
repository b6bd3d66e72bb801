"""What is asked of an evaluation: arms, questions, decoding, and at which divergence arms stand."""

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

from core import CoreError
from core.activations.decoding import Decoding
from core.activations.study import Study
from core.evaluation.answers import CARE, Arm
from core.evaluation.judging import Question
from core.evaluation.report import AGAIN, PLAIN, RANDOM
from core.foundations import FOUNDATIONS
from core.steering.edits import check_recipe, resolve
from core.steering.recipes import Recipe, Term, recipe_at
from core.workbench import Workbench

PROMPT: Final = "moral prompt"
DIRECTIONS: Final = "moral directions"
#: What a judge is asked unless it is told otherwise.
USUAL: Final[tuple[Question, ...]] = ("safer", "helpful", "understanding")
#: Share of the residual norm at which the search for a push's strength begins.
_FIRST: Final = 0.05


class EvaluationError(CoreError):
    """These arms, prompts or this judge cannot be evaluated."""


@dataclass(frozen=True)
class EvaluateSpec:
    """How arms are compared."""

    arms: tuple[Arm, ...]
    """All of them; the first is the plain one."""

    questions: tuple[Question, ...] = USUAL
    """What the judge is asked of each pair."""

    decoding: Decoding = field(default_factory=partial(Decoding, tokens=60))
    """The same for all arms."""

    kl: float | None = 0.1
    """Divergence on neutral text at which steered arms stand, nats per token; None: as their
    recipes say."""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(names) < 2 or names[0] != PLAIN or len(set(names)) != len(names):
            raise EvaluationError(
                f"An evaluation needs {PLAIN} and at least one other arm, each with a name of its "
                "own."
            )
        if self.kl is not None and not 0 < self.kl <= 10:
            raise EvaluationError("A divergence must lie above 0 and at most at 10 nats.")
        if not self.questions:
            raise EvaluationError("Name at least one question that the judge is asked.")


def default_arms(study: Study, layer: int | None = None) -> tuple[Arm, ...]:
    """Return the arms that need nothing but a model and a set.

    Args:
        study: The model and the items that directions come from.
        layer: After which layer is steered; None: the middle one.

    Returns:
        The plain model, itself with other random numbers (A/A), a system prompt, a push along all
        five moral directions, and a random push as long as that.
    """
    recipe = push_recipe(study, study.anchor if layer is None else layer)
    return (
        Arm(PLAIN),
        Arm(AGAIN, seed=1),
        Arm(PROMPT, system=CARE),
        Arm(DIRECTIONS, recipe),
        Arm(RANDOM, recipe, control=True),
    )


def push_recipe(study: Study, layer: int) -> Recipe:
    """Return the push along all five moral directions after a layer."""
    return recipe_at(study, layer, tuple(Term(axis, _FIRST) for axis in FOUNDATIONS))


def usable(work: Workbench, study: Study, spec: EvaluateSpec) -> tuple[EvaluateSpec, list[str]]:
    """Return a spec without the arms whose recipe cannot be done here, and why not.

    Args:
        work: The process's workbench.
        study: The model and items; read.
        spec: What was asked.

    Raises:
        EvaluationError: No arm but the plain one is left.
    """
    kept, problems = [], []
    for arm in spec.arms:
        try:
            if arm.recipe is not None:
                check_recipe(study, arm.recipe, repeated=True)
                resolve(work.store, study, arm.recipe)
        except CoreError as error:
            problems.append(f"{arm.name} is left out: {error}")
        else:
            kept.append(arm)
    if len(kept) < 2:
        raise EvaluationError(" ".join(problems) or "There is no arm beside the plain one.")
    return replace(spec, arms=tuple(kept)), problems


def about(spec: EvaluateSpec) -> dict[str, Any]:
    """Return a spec as JSON values, for the receipt."""
    return {
        "arms": [
            {**asdict(arm), "recipe": None if arm.recipe is None else arm.recipe.digest}
            for arm in spec.arms
        ],
        "questions": list(spec.questions),
        "decoding": asdict(spec.decoding),
        "kl": spec.kl,
    }
