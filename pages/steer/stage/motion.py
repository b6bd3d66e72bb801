"""How the stage knows where a map's points go: exactly, by neighbours, by probes, or not at all."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import streamlit as st

from core.activations.study import Study
from core.alignment.shares import Shares
from core.foundations import FOUNDATIONS
from core.maps.view import ViewSpec
from core.steering import jobs as steering_jobs
from core.steering.effects.motion import OTHERS, Motion
from core.steering.effects.paths import Settled
from core.steering.effects.probes import AT_A_TIME, FEW, FURTHER, ProbeSpec
from core.steering.recipes import Recipe
from pages.shared import progress
from pages.shared.bench import opened, workbench
from pages.steer import recipe, results
from pages.steer.choice import Choice

_STRAIGHT: Final = (
    "In between it goes straight, and axes are added up: on release the exact places are found, "
    "and how far the preview was off is said."
)


class Known(NamedTuple):
    """Where the points go, and how that is known."""

    motion: Motion
    """The ways."""

    numbers: dict[str, Any]
    """The same as JSON holds it."""

    fixed: dict[str, float]
    """Strengths of the axes that have no slider here."""

    how: str
    """How it is known, in one line."""

    detail: str = ""
    """More on it, beside the table."""

    settle: Callable[[Mapping[str, float], int], Settled] | None = None
    """Where the points really lie at some strengths, with so many batches of further items; None if
    the ways are exact."""

    rings: str = ""
    """What the points with a ring are, if there are any."""

    shares: Shares | None = None
    """Of an aligned dictionary's change: what it does at each share, beside its control arms."""


def known(study: Study, choice: Choice, spec: ViewSpec) -> Known | None:
    """Return it; None while the model still reads what it takes, which is shown.

    Raises:
        CoreError: A direction cannot be made, or no action is held back to be followed.
    """
    layer, others = choice.layers[0], _others(study, choice)
    asked = (choice.method, choice.pooling, others)
    fixed = {OTHERS: 0.0 if others is None else 1.0}
    if spec.layer < layer:
        how = f"Layer {spec.layer} is read before the push at layer {layer}: nothing moves here."
        return Known(*results.unmoved(study, spec), fixed, how)
    if spec.layer > layer:
        return _followed(study, choice, spec, fixed, others)
    if spec.method == "umap":
        near, numbers = results.neighbours(study, spec, *asked)
        count = len(near.paths.rows)
        rest = (
            "" if count == len(study.items) else f" Only {count:,} do, the rest go by their mean."
        )
        how = f"Preview by each point's 15 nearest plain neighbours; it settles on release.{rest}"
        detail = (
            "UMAP has no formula for a new state: each point goes to the weighted mean of its 15 "
            "nearest plain neighbours' places, worked out at ±20 and ±40 % of each axis. "
            f"{_STRAIGHT}{rest}"
        )
        return Known(
            near.paths, numbers, fixed, how, detail, lambda pushed, _: near.settled(pushed)
        )
    how = "Exact while you drag: at the steered layer nothing is interpolated."
    return Known(*results.moved(study, spec, *asked), fixed, how)


def _followed(
    study: Study, choice: Choice, spec: ViewSpec, fixed: dict[str, float], others: Recipe | None
) -> Known | None:
    layer = choice.layers[0]
    asked = ProbeSpec(
        layer, spec.layer, spec.pooling, choice.method, choice.pooling, choice.positions
    )
    made = steering_jobs.probes(workbench(), study, asked)
    if opened(made) is None:
        making = progress.making(
            made,
            "The model reads held-out actions at several strengths of each axis, and along control "
            "directions: once for these two layers.",
            unasked=True,
        )
        if not making:  # it failed, or was cancelled
            progress.offer(st, made, "Read held-out actions", key="probes-start")
        return None
    far, numbers = results.probed(study, made, spec, others)
    count = len(far.paths.rows)
    how = f"Preview of {count} held-out actions, the rest go by their mean; it settles on release."
    detail = (
        f"The model reads {count} held-out actions (probes, ringed) at ±20 and ±40 % of each axis; "
        f"each goes its own way, all other points by the probes' mean. {_STRAIGHT} While "
        f"the sliders rest, up to {FURTHER} more are read, {AT_A_TIME} at a time, and counted in "
        f"that distance. Control directions push {min(FEW, count)} of the probes."
    )
    if spec.method == "umap":
        detail += " UMAP places each by its 15 nearest plain neighbours."
    return Known(far.paths, numbers, fixed, how, detail, far.settled, "read by the model")


def _others(study: Study, choice: Choice) -> Recipe | None:
    """Return the recipe without the foundations' axes; None if nothing is left."""
    made = recipe.recipe(study, choice)
    rest = tuple(term for term in made.terms if term.axis not in FOUNDATIONS)
    return (
        Recipe(
            made.model,
            made.identity,
            made.items,
            made.template,
            choice.layers[:1],
            rest,
            strip=made.strip,
            max_tokens=made.max_tokens,
            pooling=choice.pooling,
        )
        if rest
        else None
    )
