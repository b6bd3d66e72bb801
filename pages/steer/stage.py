"""The stage: the foundations' sliders, and beside them the map whose points they move at once.

Both are mounts of one component, plain JavaScript on a canvas: a drag asks the server nothing. What
it draws core has worked out (``core.steering.effects.shift``); on release the strengths come here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st

from core import palette
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import FOUNDATIONS, POLES
from core.maps.placing import AXES
from core.maps.view import ViewSpec, axis_title
from core.steering.effects.shift import OTHERS, Shift
from core.steering.effects.shipped_doses import KnownDose
from core.steering.recipes import Recipe
from core.steering.view import travel_table
from pages.shared import controls
from pages.shared.address import bound
from pages.steer import recipe, results
from pages.steer.choice import DOSES, MOST, POSITIONS, Choice

_HERE: Final = Path(__file__).parent
_COMPONENT: Final = st.components.v2.component(
    "moralscope-stage",
    html="<div class='stage'></div><p class='missing'>If nothing appears here, switch on "
    "<b>Plain sliders</b> under More.</p>",
    css=(_HERE / "stage.css").read_text(encoding="utf-8"),
    js=(_HERE / "stage.js").read_text(encoding="utf-8"),
)
_SLIDERS: Final = "stage-sliders"
_PICTURES: Final[dict[str, str]] = {"pca": "PCA", "axes": "Moral axes"}
#: Strength of the table's axes whose sliders are at zero.
_STEP: Final = 0.1
_STYLE: Final = """<style>
/* All of it on one screen of a laptop. */
.block-container:has(.st-key-stage) {padding: 1.4rem 3rem 3rem}
.block-container:has(.st-key-stage) > [data-testid=stVerticalBlock] {gap: .6rem}
.block-container:has(.st-key-stage) h1 {font-size: 2rem; padding: 0}
@media (max-width: 640px) {
  .block-container:has(.st-key-stage) {padding: 3.8rem 1rem 3rem}
  .st-key-stage > div > [data-testid=stHorizontalBlock],
  .st-key-stage > [data-testid=stHorizontalBlock] {flex-direction: column-reverse}
  .st-key-stage-sliders {order: -1}
}
</style>"""


def style() -> None:
    """Add the rules that keep the stage on one screen, and put the map first on a phone."""
    st.html(_STYLE)


# --- the sliders ---


def sliders(doses: Mapping[str, KnownDose]) -> None:
    """Draw the foundations' sliders.

    Args:
        doses: Known doses by axis; their safe ranges are painted.
    """
    axes = [
        {
            "name": axis,
            "virtue": axis.split("-")[0],
            "vice": axis.split("-")[1],
            "colour": palette.FOUNDATION_COLOURS[axis],
            "safe": [round(100 * end) for end in doses[axis].safe] if axis in doses else None,
        }
        for axis in FOUNDATIONS
    ]
    strengths = {axis: int(st.session_state[axis]) for axis in FOUNDATIONS}
    _COMPONENT(
        key=_SLIDERS,
        data={"part": "sliders", "axes": axes, "most": MOST, "strengths": strengths},
        on_strengths_change=_take,
    )


def _take() -> None:
    """Put what the sliders report where the page has its strengths (a callback)."""
    st.session_state.update(taken(st.session_state[_SLIDERS].get("strengths")))


def taken(reported: object) -> dict[str, int]:
    """Return the strengths of a report, in per cent; what is none is left out."""
    if not isinstance(reported, Mapping):
        return {}
    return {axis: int(reported[axis]) for axis in FOUNDATIONS if reported.get(axis) in DOSES}


# --- the map ---


def picture(study: Study, choice: Choice) -> None:
    """Draw the map of the steered layer, which follows the sliders.

    Raises:
        CoreError: A direction cannot be made, or the map does not move so simply.
    """
    spec = _spec(study, choice)
    if told := _why_not(choice):
        st.info(told)
        return
    others = _others(study, choice)
    found, numbers = results.moved(study, spec, choice.method, choice.pooling, others)
    _COMPONENT(key=f"stage-map-{spec.method}", data=_data(study, spec, numbers, others))
    if choice.positions == "generated":
        st.caption(
            f"'{POSITIONS['generated']}' leaves what it reads alone: the points show where such "
            "texts would lie if it had written them."
        )
    with st.expander("How far, as a table; and what is shown"):
        _table(found, others)


def _spec(study: Study, choice: Choice) -> ViewSpec:
    """Draw the choice of the map and return it."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    method = row.segmented_control(
        "Picture",
        list(_PICTURES),
        required=True,
        format_func=_PICTURES.__getitem__,
        help="PCA: all points move by one arrow. Moral axes: differences of cosines, each point "
        "has a path of its own. Both are exact, nothing is interpolated.",
        **bound("picture", "pca", list(_PICTURES)),
    )
    scaling = controls.scaling_box(row)
    pooling: Pooling = "mean" if "mean" in study.plan.spec.poolings else "last"
    if method == "pca":
        return ViewSpec(choice.layers[0], pooling, scaling)
    x, y = (
        row.selectbox(
            label,
            AXES,
            format_func=lambda name: name.replace("-", " − "),
            **bound(key, first, AXES),
        )
        for label, key, first in (
            ("Horizontal axis", "x", "care-harm"),
            ("Vertical axis", "y", "fairness-cheating"),
        )
    )
    return ViewSpec(choice.layers[0], pooling, scaling, "axes", x=x, y=y)


def _why_not(choice: Choice) -> str:
    """Say why the map cannot follow a thumb; empty if it can."""
    if choice.operation != "add":
        return (
            "Only adding a direction moves all texts alike, so that the map can follow a thumb. "
            "Choose 'Add the direction' under More to see it; the sliders work all the same."
        )
    if min(choice.layers) < choice.layers[0]:
        return (
            f"Layer {choice.layers[0]} reads what is steered below it: where its points go only a "
            "reading can tell. Choose the lowest layer with the slider to see them move."
        )
    return ""


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


def _data(
    study: Study, spec: ViewSpec, numbers: dict[str, Any], others: Recipe | None
) -> dict[str, Any]:
    """Return what the map is drawn from; the same for all strengths, so it is sent once."""
    colours = palette.FOUNDATION_COLOURS
    pole = [POLES.index(one) for one in study.items.pole]
    signs: list[tuple[str, str, str]] = [(palette.POLE_SIGNS[one], one, "") for one in POLES]
    signs += [
        ("▪", "without steering", palette.CONTROL),
        ("→", "the middle's way", palette.OWN),
        ("→", "along a random direction, equally long", palette.CONTROL),
    ]
    axes = (spec.x, spec.y)
    return numbers | {
        "part": "map",
        "fixed": {OTHERS: 1 if others is not None else 0},
        "group": [3 * f + p for f, p in zip(study.items.foundation.tolist(), pole, strict=True)],
        "groups": [[colours[one], each] for one in FOUNDATIONS for each in POLES],
        "colours": [[one.replace("-", " – "), colours[one]] for one in FOUNDATIONS],
        "signs": signs,
        "texts": study.items.texts(),
        "titles": [axis_title(one, "model") for one in axes] if spec.method == "axes" else None,
        "alt": f"Map of {len(study.items)} actions at layer {spec.layer} of {study.card.name}, by "
        f"{_PICTURES[spec.method]}: points move with the sliders; the table below says how far.",
    }


def _table(found: Shift, others: Recipe | None) -> None:
    strengths: dict[str, float] = {axis: st.session_state[axis] / 100 for axis in FOUNDATIONS}
    if others is not None:
        strengths[OTHERS] = 1.0
    percent = st.column_config.NumberColumn(format="percent")
    widths = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        travel_table(found, strengths, _STEP),
        hide_index=True,
        key="stage-table",
        column_config={"strength": percent, "moved": widths, "random": widths},
        alt="How far each axis moves the middle of the points, in widths of the map, and how far "
        "an equally long push in a random direction does.",
    )
    st.caption(
        "In widths of the map without steering, at the strength of the slider (10 % where it is "
        "at zero). Frame, scaling and centres are those of the plain model, so the part of a push "
        "that all texts share is seen; centring would take it away. Random: the direction that the "
        "read-out is held against, drawn as the layer's states vary. It is where the actions lie "
        "at the steered layer itself; what later layers make of it a reading or the text tells."
    )
