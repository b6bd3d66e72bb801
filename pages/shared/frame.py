"""The frame around every page: style, headings, notes, legends."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core import CoreError
from core.maps.view import Colouring
from core.palette import POLE_SIGNS
from pages.shared.bench import items

_STYLE = """
<style>
  .block-container {padding-top: 2.6rem; padding-bottom: 3rem; max-width: 1500px}
  div:has(> .st-key-one-entry) {display: none}
  .ms-legend {display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .86rem; opacity: .9}
  .ms-legend i {display: inline-block; width: .7rem; height: .7rem; border-radius: 50%;
    margin-right: .35rem; vertical-align: -.05rem}
  .ms-note {font-size: .86rem; opacity: .75; margin: 0}
  .ms-figure {font-size: 1.9rem; font-weight: 650; line-height: 1.1; margin: 0}
  .ms-figure small {font-size: .86rem; font-weight: 400; opacity: .8; white-space: nowrap}
  .ms-legend b {display: inline-block; width: 1.75rem; margin-right: .35rem;
    vertical-align: middle}
  .ms-question {font-weight: 600; line-height: 1.5rem; margin: 0}
  @media (min-width: 641px) {.ms-question {min-height: 3rem}}
  .ms-lead {font-size: 1.12rem; max-width: 46rem; line-height: 1.55}
  @media (max-width: 640px) {.block-container {padding-left: 1rem; padding-right: 1rem}}
  /* Streamlit writes white on the primary colour, too faint in the dark; in charts, this grey. */
  [data-testid^=stBaseButton-primary]:not(:disabled) {color: light-dark(#FFFFFF, #12141C)}
  .js-plotly-plot text[style*="128, 132, 149"] {fill: currentColor !important; fill-opacity: .8}
  @media (prefers-reduced-motion: reduce) {
    * {transition: none !important; animation: none !important}}
</style>
"""


def style() -> None:
    """Add the few rules that the theme cannot express."""
    st.html(_STYLE)


@contextmanager
def told() -> Iterator[None]:
    """Show what the person can mend and go on behind the block."""
    try:
        yield
    except CoreError as error:
        st.error(str(error))


def heading(title: str, lead: str) -> None:
    """Write a page's title and one sentence on what it is for."""
    st.title(title)
    st.html(f"<p class='ms-note'>{lead}</p>")


def provenance_note(set_name: str) -> None:
    """Say of which kind the labels are, wherever results from them are shown."""
    where = items(set_name).provenance
    if where.note:
        st.caption(f"{where.name}: {where.note}")


def coloured(sign: str, colour: str) -> str:
    """Return a sign of a legend as HTML: it is seen, the words beside it are heard."""
    return f"<span aria-hidden='true' style='color:{colour}'>{sign}</span>"


def legend(colours: Colouring) -> None:
    """Explain colours and shapes once for both maps."""
    if colours.categories is not None and set(colours.categories) == set(POLE_SIGNS):
        signs = "".join(
            f"{coloured(sign, colours.categories[pole])} {pole}"
            for pole, sign in POLE_SIGNS.items()
        )
        st.html(f"<div class='ms-legend'>{signs}</div>")
        return
    names = "".join(
        f"<span><i style='background:{colour}'></i>{name.replace('-', ' – ')}</span>"
        for name, colour in (colours.categories or {}).items()
    )
    st.html(f"<div class='ms-legend'>{names}{_pole_signs()}</div>")


def _pole_signs() -> str:
    return "".join(f"<span>{sign} {pole}</span>" for pole, sign in POLE_SIGNS.items())
