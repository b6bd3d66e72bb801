"""One slider of a strength: with a number box, a way to zero, and the safe range beneath."""

from typing import Final

import streamlit as st

from core.palette import FOUNDATION_COLOURS
from core.steering.effects.shipped_doses import KnownDose
from pages.shared.address import bound
from pages.steer.choice import DOSES, MOST

_STYLE: Final = """<style>
.ms-safe {position: relative; height: 5px; margin: -.6rem 11.2rem 0 .4rem; border-radius: 3px}
.ms-safe.ms-known {background: rgba(128,128,128,.22)}
.ms-safe b {position: absolute; left: calc(50% - 1px); top: -3px; width: 2px; height: 11px;
  background: currentColor; opacity: .55}
.ms-safe i {position: absolute; top: 0; height: 5px; border-radius: 3px}
/* Heard, not seen: the button shows its icon alone. */
[class*=st-key-zero-] button p {position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap}
</style>"""


def style() -> None:
    """Add the rules for sliders."""
    st.html(_STYLE)


def show(axis: str, label: str, dose: KnownDose | None = None, ends: range = DOSES) -> None:
    """Draw a slider with its box, which follows it.

    Args:
        axis: Name in the address.
        label: What people read.
        dose: Where the model stays itself, if that was measured.
        ends: Possible values, in per cent; zero and the safe range are painted on the usual ones.
    """
    named = bound(axis, 0, ends)
    least, most = ends[0], ends[-1]
    box = f"box-{axis}"
    st.session_state[box] = st.session_state[axis]
    row = st.container(horizontal=True, vertical_alignment="bottom", wrap=False)
    row.slider(label, least, most, step=1, format="%+d %%", **named)
    row.number_input(
        f"{label} in per cent",
        least,
        most,
        step=1,
        key=box,
        label_visibility="collapsed",
        width=104,
        on_change=_take_over,
        args=(axis, box),
    )
    row.button(
        f"{label} to zero",
        key=f"zero-{axis}",
        icon=":material/restart_alt:",
        help="To zero",
        on_click=_zero,
        args=(axis,),
        disabled=st.session_state[axis] == 0,
    )
    if ends == DOSES:
        st.html(_strip(axis, dose))


def _strip(axis: str, dose: KnownDose | None) -> str:
    """Return a strip under the slider: its zero, and the strengths that leave the model itself."""
    if dose is None:
        return "<div class='ms-safe'><b></b></div>"
    low, high = (round(50 + 50 * 100 * end / MOST, 1) for end in dose.safe)
    colour = FOUNDATION_COLOURS.get(axis, "#00916A")  # type: ignore[call-overload]
    return (
        "<div class='ms-safe ms-known'>"
        f"<i style='left:{low}%;width:{high - low}%;background:{colour}'></i>"
        f"<b></b></div><p class='ms-note'>safe from {dose.safe[0]:+.0%} to {dose.safe[1]:+.0%}</p>"
    )


def _take_over(axis: str, box: str) -> None:
    st.session_state[axis] = int(st.session_state[box] or 0)


def _zero(axis: str) -> None:
    st.session_state[axis] = 0
