"""A verdict's figures beside their controls, as lines on one axis; words name them, not colours."""

from html import escape

import streamlit as st

from core.claims.view import Picture, spoken
from core.wording import interval, number

_STYLE = """
<style>
  .ms-claim h4 {font-size: 1.05rem; padding: 0; margin: .1rem 0 .25rem}
  .ms-claim p {margin: 0 0 .3rem}
  .ms-verdict {font-weight: 650; text-transform: uppercase; font-size: .8rem;
    letter-spacing: .04em}
  .ms-why {font-size: .9rem; margin: .35rem 0 0; overflow-wrap: anywhere}
  .ms-strip {display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 7fr) 9rem;
    column-gap: .75rem;
    row-gap: .1rem; font-size: .84rem; align-items: center}
  .ms-strip > span {overflow-wrap: anywhere; line-height: 1.2}
  .ms-track {position: relative; align-self: stretch; min-height: 1.35rem}
  .ms-track > * {position: absolute}
  .ms-side {top: 0; bottom: 0; background: color-mix(in srgb, currentColor 9%, transparent)}
  .ms-bound {top: 0; bottom: 0; border-left: 2px dashed currentColor; opacity: .65}
  .ms-arm {top: calc(50% - 1px); height: 2px}
  .ms-dot {top: 50%; transform: translate(-50%, -50%); line-height: 1; font-size: .95rem}
  .ms-strip > .ms-number {font-variant-numeric: tabular-nums; white-space: nowrap}
  @media (max-width: 640px) {
    .ms-strip {grid-template-columns: minmax(0, 1fr) minmax(0, 1fr)}
    .ms-strip > .ms-number {display: none}}
  .ms-scale {position: relative; height: 1.1rem; font-size: .78rem; opacity: .8}
  .ms-scale > * {position: absolute; transform: translateX(-50%); white-space: nowrap}
</style>
"""


def style() -> None:
    """Add the rules of the cards and their lines."""
    st.html(_STYLE)


def drawn(shown: Picture) -> str:
    """Return a picture as HTML: a line for each figure, the claimed side shaded, the bound."""
    cells = "".join(
        f"<span>{escape(one.name)}</span><div class='ms-track' "
        f"title='{escape(one.name)}: {interval(one.figure)}'>{_ground(shown)}"
        f"{_line(shown, *one[1:])}</div><span class='ms-number'>{interval(one.figure)}</span>"
        for one in shown.bars
    )
    marks = "".join(
        f"<span style='left:{_at(shown, one):.2f}%'>{number(one)}</span>" for one in shown.bounds
    )
    label = escape(spoken(shown), quote=True)
    return (
        f"<div class='ms-strip' role='img' aria-label='{label}'>{cells}<span>shaded: claimed</span>"
        f"<div class='ms-scale'>{marks}</div><span class='ms-number'></span></div>"
    )


def _at(shown: Picture, value: float) -> float:
    return 100 * (min(max(value, shown.low), shown.high) - shown.low) / (shown.high - shown.low)


def _ground(shown: Picture) -> str:
    left, right = (_at(shown, one) for one in shown.claimed)
    bounds = "".join(
        f"<i class='ms-bound' style='left:{_at(shown, one):.2f}%'></i>" for one in shown.bounds
    )
    side = f"<i class='ms-side' style='left:{left:.2f}%;width:{right - left:.2f}%'></i>"
    return side + bounds


def _line(shown: Picture, sign: str, colour: str, figure: tuple[float, float, float]) -> str:
    value, low, high = figure
    arm = ""
    if low == low:  # a figure without an interval is a point
        left, right = _at(shown, low), _at(shown, high)
        arm = (
            f"<i class='ms-arm' style='left:{left:.2f}%;width:{right - left:.2f}%;"
            f"background:{colour}'></i>"
        )
    place = f"left:{_at(shown, value):.2f}%;color:{colour}"
    return f"{arm}<b class='ms-dot' aria-hidden='true' style='{place}'>{sign}</b>"
