"""The stage's map: what it is drawn from, what is found when the sliders are let go, its tables."""

from typing import Any, Final

import streamlit as st

from core import palette
from core.activations.study import Study
from core.alignment.shares import Shares
from core.foundations import FOUNDATIONS, POLES
from core.maps.view import ViewSpec, axis_title
from core.steering.edits import SPLICES
from core.steering.effects.motion import CONTROLS, OTHERS
from core.steering.view import settled_numbers, travel_table
from pages.shared.bench import workbench
from pages.steer.choice import POSITIONS, Choice
from pages.steer.stage import component, landed, share, which
from pages.steer.stage.motion import Known, known

#: Where the map hears what is found, and asks for more.
_LANDED: Final = "stage-landed"
#: Strength of the table's axes whose sliders are at zero.
_STEP: Final = 0.1


def show(study: Study, choice: Choice, tables: Any) -> None:
    """Draw the map, which follows the sliders, and what was written on it.

    Args:
        study: Items and model.
        choice: Where and how.
        tables: Where the same stands as tables.

    Raises:
        CoreError: A direction cannot be made, or no action is held back to be followed.
    """
    spec = which.ask(study, choice)
    spliced = choice.operation in SPLICES
    if told := share.why_not(study, choice, spec) if spliced else which.why_not(choice, spec):
        st.info(told)
        return
    found = (share.known if spliced else known)(study, choice, spec)
    if found is None:
        return
    component.mount("map", f"stage-map-{spec.method}", _data(study, spec, found))
    if choice.positions == "generated":
        st.caption(
            f"'{POSITIONS['generated']}' leaves what it reads alone: the points show where such "
            "texts would lie if it had written them."
        )
    axes = [axis for axis in found.motion.axes if axis != OTHERS]
    strengths: dict[str, float] = {axis: st.session_state[axis] / 100 for axis in axes}
    written = landed.table(study, st.session_state.get("run"), spec)
    with st.container(key="stage-found"):  # to be heard by the map, not to be seen
        _found(found, strengths, [] if written is None else written.to_dict("records"))
    with tables.expander("How far, as a table; and what is shown"):
        if found.shares is None:
            _table(found, strengths)
        else:
            _share_table(found, found.shares)
        if written is not None:
            landed.twin(written)


@st.fragment
def _found(found: Known, strengths: dict[str, float], marks: list[dict[Any, Any]]) -> None:
    """Tell the map what is found at strengths that are let go; it asks for more while they stay."""
    settled = None
    if found.settle is not None and (any(strengths.values()) or any(found.fixed.values())):
        asked = st.session_state.get(_LANDED, {}).get("further") or {}
        further = asked.get("batches", 0) if asked.get("strengths") == strengths else 0
        exact = found.settle(strengths | found.fixed, further)
        settled = settled_numbers(exact, strengths) | {"batches": further}
        if any(job.active and job.lane == "model" for job in workbench().runner.jobs()):
            settled["left"] = 0  # a text or a reading goes before
    data = {"marks": marks, "settled": settled}
    component.mount("found", _LANDED, data, on_further_change=lambda: None)


def _data(study: Study, spec: ViewSpec, found: Known) -> dict[str, Any]:
    """Return what the map is drawn from; the same for all strengths, so it is sent once."""
    colours = palette.FOUNDATION_COLOURS
    pole = [POLES.index(one) for one in study.items.pole]
    signs: list[tuple[str, str, str]] = [(palette.POLE_SIGNS[one], one, "") for one in POLES]
    signs += [
        ("▪", "unsteered", palette.CONTROL),
        ("→", "the middle's way", palette.OWN),
        ("⋔", f"{_controls(found)}, equally long", palette.CONTROL),
        ("□", "plain text", ""),
        ("■", "steered text", palette.OWN),
    ]
    if found.rings:
        signs.append(("◯", found.rings, ""))
    axes = (spec.x, spec.y)
    return found.numbers | {
        "fixed": found.fixed,
        "how": found.how,
        "ringed": bool(found.rings),
        "group": [3 * f + p for f, p in zip(study.items.foundation.tolist(), pole, strict=True)],
        "groups": [[colours[one], each] for one in FOUNDATIONS for each in POLES],
        "colours": [[one.replace("-", " – "), colours[one]] for one in FOUNDATIONS],
        "signs": signs,
        "texts": study.items.texts(),
        "titles": [axis_title(one, "model") for one in axes] if spec.method == "axes" else None,
        "alt": f"Map of {len(study.items)} actions at layer {spec.layer} of {study.card.name}, by "
        f"{which.PICTURES[spec.method]}: points move with the sliders; the table below says how "
        "far.",
    }


def _controls(found: Known) -> str:
    """Return what the fan consists of."""
    if found.shares is None:
        return f"{CONTROLS} controls"
    return f"{len(found.motion.fan.ways)} control arms"


def _share_table(found: Known, shares: Shares) -> None:
    places = st.column_config.NumberColumn(format="%.3f")
    columns: Any = dict.fromkeys(shares.table.columns[2:], places)
    st.dataframe(
        shares.table,
        hide_index=True,
        key="stage-table",
        placeholder="–",
        column_config={"share": st.column_config.NumberColumn(format="percent"), **columns},
        alt="How far texts move and how far they agree with people at each share of the change, "
        "beside its control arms and shuffled labels.",
    )
    st.caption(
        "Moved: mean over texts, in widths of the map without steering, with its 95 % interval. "
        "CKA of test texts with people's vectors, with interval, beside the 95 % band of shuffled "
        f"labels (chance). Frame, scaling and centres are those of the plain model. {found.detail}"
    )


def _table(found: Known, strengths: dict[str, float]) -> None:
    percent = st.column_config.NumberColumn(format="percent")
    widths = st.column_config.NumberColumn(format="%.3f")
    columns: Any = dict.fromkeys(("moved", "control", "low", "high"), widths)
    st.dataframe(
        travel_table(found.motion, strengths | found.fixed, _STEP),
        hide_index=True,
        key="stage-table",
        column_config={"strength": percent, **columns},
        alt="How far each axis moves the middle of the points, in widths of the map, beside median "
        "and 95 % range of control directions of equal length.",
    )
    st.caption(
        "In widths of the map without steering, at the strength of the slider (10 % where it is "
        "at zero). Frame, scaling and centres are those of the plain model, so the part of a push "
        "that all texts share is seen; centring would take it away. Control: median, low and high "
        f"of {CONTROLS} random directions, drawn as the layer's states vary. "
        f"{found.detail or found.how}"
    )
