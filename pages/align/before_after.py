"""Before and after on the map: a slider moves every text from untouched to aligned and beyond."""

from typing import Any, Final, cast

import numpy as np
import streamlit as st

from core.activations.study import Study
from core.alignment.measure import judging_pooling
from core.alignment.moves import SHARES, moves
from core.alignment.report import KIND
from core.alignment.spec import ARMS, Arm
from core.maps import view as maps_view
from core.maps.jobs import layouts
from core.maps.landmarks import landmarks
from core.maps.scene import Arrows, Frames
from core.maps.view import MapMethod, Picture, ViewSpec
from core.palette import CONTROL
from core.runtime.made import Made
from pages.align import movers, results, training
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared import bench, controls, maps, pictures, progress, reading, selection
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

_NAMES: Final = {0.0: "untouched", 1.0: "aligned", 1.5: "beyond"}
_PAINTS: Final = {"pole": "Pole", "foundation": "Foundation", "split": "Training or test"}
#: How far the places between the frames are to be trusted.
_EXACT: Final[dict[MapMethod, str]] = {
    "pca": "places are exact at every share",
    "axes": "places are exact at every quarter, straight in between",
    "umap": "texts go as their nearest plain neighbours lie",
}
#: Items that an arrow joins with where they go: more are a haystack.
_MOST_ARROWS: Final = 60


def show(study: Study, found: Found, asked: Choice, set_name: str) -> None:
    """Draw the choice of arm and map, the map, and who moved most."""
    st.subheader("Before and after", anchor="map")
    here = {run.arm: run for run in found.report.runs if run.seed == 0}
    here |= {
        run.arm: run for run in found.report.runs if run.seed == 0 and run.target == asked.target
    }
    runs = {arm: here[arm] for arm in ARMS if arm in here and not found.report.unchanged(arm)}
    if training.trained(study, found, asked) is None:
        st.info(
            "The dictionaries behind this report were cleared from the cache. The figures above "
            "stand; to see where texts move, or to use one, align again."
        )
        st.button("Forget the report", key="forget-report", on_click=_forget, args=(found,))
        return
    if not runs:
        st.caption("Training changed nothing, so nothing moves.")
        return
    arm, spec, paint = _ask(study, found, asked, list(runs))
    made = moves(workbench(), study, asked.base, found.spec, arm, runs[arm].digest)
    if not _made(study, made):
        return
    if spec.method == "umap" and not _made(
        study, layouts(workbench(), study, spec.pooling, spec.scaling, spec.layout)
    ):
        return
    left, right = st.columns([1.35, 1], gap="large")
    with left:
        _map(study, set_name, spec, paint, made, arm)
    with right:
        movers.show(study, found, asked, runs, arm, spec)


def _forget(found: Found) -> None:
    """Delete a report, so that it is offered to be made anew (a callback)."""
    store = workbench().store
    name = store.folder(KIND, found.key).name
    for entry in store.artefacts(KIND):
        if entry.digest == name:
            store.delete(entry)


def _ask(study: Study, found: Found, asked: Choice, arms: list[Arm]) -> tuple[Arm, ViewSpec, str]:
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    arm: Arm = bar.selectbox(
        "Dictionary after",
        arms,
        width=220,
        help="Seed 0 of each arm. A control moves texts, too: does it move them alike?",
        **bound("after", asked.recipe if asked.recipe in arms else arms[0], arms),
    )
    method = bar.segmented_control(
        "Picture",
        list(controls.METHODS),
        required=True,
        format_func=controls.METHODS.__getitem__,
        help="PCA is exact at every share, moral axes at every quarter and straight in between; on "
        "UMAP texts go as their nearest plain neighbours lie.",
        **bound("laid-out", "pca", list(controls.METHODS)),
    )
    paint = bar.selectbox(
        "Colour",
        list(_PAINTS),
        format_func=_PAINTS.__getitem__,
        width=170,
        **bound("shade", "pole", list(_PAINTS)),
    )
    drawn = cast("MapMethod", method)
    spec = ViewSpec(found.report.layer, judging_pooling(study), method=drawn)
    return arm, spec, str(paint)


def _made(study: Study, made: Made[Any]) -> bool:
    """Tell whether something is there; else show it being made, or offer it."""
    if opened(made) is not None:
        return True
    if not progress.making(made, unasked=reading.is_cheap(study)):
        st.caption("The model's states of all texts go through both dictionaries once: seconds.")
        progress.offer(st, made, "Show where texts move", key="moves-start")
    return False


def _map(
    study: Study, set_name: str, spec: ViewSpec, paint: str, made: Made[Any], arm: str
) -> None:
    items = bench.items(set_name)
    colour: Any = paint
    look = maps.Look(
        items,
        pictures.facts(set_name, None, None),
        maps_view.colouring(items, colour, None),
        selection.chosen(items),
        np.zeros(len(items), bool),
    )
    picture = pictures.model_picture(study, spec)
    places = results.places(study, spec, made)
    frames = Frames(
        [_NAMES.get(share, "") for share in SHARES],
        places,
        slides=True,
        span=(SHARES[0], SHARES[-1]),
        centres=[landmarks(one, look.members) for one in places],
        curve=results.curve(study, spec.layer, made),
    )
    maps.legend(look)
    how = controls.METHODS[spec.method]
    maps.draw(
        "aligned",
        f"Layer {spec.layer}: texts under a share of the change ({arm})",
        Picture(places[0], picture.trust, picture.explained, picture.axes),
        look,
        subtitle=f"{how} of the plain states; {_EXACT[spec.method]}",
        limits=_limits(places),
        arrows=[_arrows(places, look.chosen)],
        frames=frames,
        told="Drag from untouched to aligned and beyond; frame, centres and scaling stay the plain "
        "model's. Arrows lead to aligned: of the selection, else of the texts that go furthest.",
    )


def _limits(places: Any) -> list[tuple[float, float]]:
    """Return limits that hold the points at every share."""
    low, high = np.nanmin(places, axis=(0, 1)), np.nanmax(places, axis=(0, 1))
    return [(float(one), float(other)) for one, other in zip(low, high, strict=True)]


def _arrows(places: Any, chosen: Any) -> Arrows:
    start, end = places[0], places[SHARES.index(1.0)]
    far = np.linalg.norm(end - start, axis=1)
    known = np.isfinite(far)
    if (known & chosen).any():
        known &= chosen
    rows = np.flatnonzero(known)
    rows = np.sort(rows[np.argsort(-far[rows], kind="stable")][:_MOST_ARROWS])
    return Arrows(start[rows], end[rows], CONTROL, "Moves", rows)
