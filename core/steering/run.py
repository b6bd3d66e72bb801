"""A run from recipe to history: written while others watch, judged, kept."""

import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.activations.extraction import check_model
from core.activations.study import Study
from core.runtime.progress import Cancelled, Report
from core.runtime.store import Store, library_version
from core.steering.edits import LayerEdit, check_recipe, resolve
from core.steering.effects.text_diff import perplexity
from core.steering.generation import Written, prompt_ids, write
from core.steering.history import Run, save_run
from core.steering.latents import recipe_names
from core.steering.recipes import Recipe, RecipeError

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_LIBRARIES: Final = ("torch", "transformers", "nnsight")


@dataclass(eq=False)
class Live:
    """A run that is being written: one thread fills it, others look."""

    recipe: Recipe
    """How."""

    prompt: str
    """What is continued."""

    parent: str = ""
    """Run it was branched from."""

    written: Written | None = None
    """The texts so far; None before the first token."""


def write_run(store: Store, study: Study, model: "OpenModel", live: Live, report: Report) -> Run:
    """Write plain and steered texts, judge them and keep the run, also if it was stopped.

    Args:
        store: Where states and history lie.
        study: Items and model.
        model: The open model.
        live: What is asked; it is filled token by token.
        report: Told of each token; it may stop the writing.

    Raises:
        CoreError: The recipe, the prompt or the model does not fit.
        Cancelled: The person stopped before the first token.
    """
    check_model(model, study.plan)
    check_recipe(study, live.recipe, repeated=True)
    edits = resolve(store, study, live.recipe)
    started = time.monotonic()
    stopped = _fill(live, model, edits, report)
    seconds = time.monotonic() - started
    last = live.written
    if last is None:  # a recipe asks for one token at least
        raise RecipeError("Nothing was written. Ask for one token or more.")
    run = Run(
        live.recipe,
        live.prompt,
        last.plain,
        last.steered,
        last.changed_tokens,
        last.firings.calls,
        _receipt(store, study, model, live, last) | {"seconds": round(seconds, 2)},
        parent=live.parent,
        stopped=stopped,
    )
    return save_run(store, run)


def _fill(live: Live, model: "OpenModel", edits: list[LayerEdit], report: Report) -> bool:
    """Write token by token; return whether it was stopped with some of it written."""
    recipe, most = live.recipe, live.recipe.decoding.tokens
    report(0, most, "writing")
    steps = write(model, live.prompt, edits, recipe.positions, recipe.decoding)
    try:
        for done, written in enumerate(steps, 1):
            live.written = written
            report(done, most, f"writing · token {done} of {most}")
    except Cancelled:
        if live.written is None:
            raise
        return not live.written.finished
    return False


def _receipt(
    store: Store, study: Study, model: "OpenModel", live: Live, last: Written
) -> dict[str, Any]:
    """Return what made the texts, their tokens, and what the plain model makes of them."""
    ids = prompt_ids(model, live.prompt, chat=live.recipe.decoding.chat)
    return {
        "latent_names": recipe_names(store, study.card, live.recipe),
        "model": study.card.identity,
        "device": study.card.device,
        "dtype": study.card.dtype,
        "items": study.items.digest,
        "template": study.plan.spec.template,
        "versions": {"python": platform.python_version()}
        | {name: library_version(name) for name in _LIBRARIES},
        "prompt_ids": ids,
        "plain_ids": [list(one) for one in last.plain_ids],
        "steered_ids": [list(one) for one in last.steered_ids],
        "plain_perplexity": perplexity(model, ids, last.plain_ids),
        "steered_perplexity": perplexity(model, ids, last.steered_ids),
    }
