"""The frame around every page: style, headings, notes, legends."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import streamlit as st

from core import CoreError
from pages.shared.bench import items

_STYLE = """
<style>
  .block-container {padding: 1.4rem 3rem 3rem; max-width: 1500px}
  .block-container > [data-testid=stVerticalBlock] {gap: .75rem}
  .block-container h1 {font-size: 1.75rem; padding: 0}
  .block-container h3 {font-size: 1.35rem}
  .st-key-headline h3 {font-size: 1.1rem; line-height: 1.4; padding: 0 0 .5rem}
  /* Streamlit draws what follows 1rem up: another headline would touch this one. */
  .st-key-headline > :has(+ * h3) h3 {padding-bottom: 1.4rem}
  [data-testid=stMain] [data-testid=stButtonGroup] > div button {min-height: 2.5rem}
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
  @media (min-width: 641px) {
    .ms-question {min-height: 3rem}
    /* Maps beside each other begin at one height, however long a name is. */
    .st-key-maps p:has(> strong:only-child) {white-space: nowrap; overflow: hidden;
      text-overflow: ellipsis}}
  .st-key-head > :has(.ms-note), .st-key-tour > :has(.ms-note) {flex: 1 1 20rem; min-width: 0}
  .st-key-tour {background: color-mix(in srgb, currentColor 6%, transparent); border-radius: .5rem;
    padding: .3rem .8rem}
  /* Beside a folded sidebar Streamlit's bar would lie upon the title. */
  @media (min-width: 641px) {
    [data-testid=stHeader], [data-testid=stHeader] * {background: none; pointer-events: none}
    [data-testid=stHeader] button, [data-testid=stHeader] button * {pointer-events: auto}}
  /* On a phone the map stands before what changes it. */
  @media (max-width: 640px) {
    .block-container {padding: 3.9rem 1rem 3rem}
    .st-key-head {row-gap: .2rem}
    .st-key-head > :has(.ms-note) {order: 1}
    div:has(> .st-key-tour) {order: -3}
    div:has(> .st-key-head), div:has(> .st-key-headline) {order: -2}
    div:has(> .st-key-maps) {order: -1}}
  /* Streamlit writes white on the primary colour, too faint in the dark; in charts, this grey. */
  [data-testid^=stBaseButton-primary]:not(:disabled) {color: light-dark(#FFFFFF, #12141C)}
  [data-testid^=stBaseButton-primary]:not(:disabled):hover {color: #FFFFFF}
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


def heading(title: str, lead: str, set_name: str = "") -> Any:
    """Write a page's title and beside it what it is for, and of which kind the labels are.

    Args:
        title: Of the page.
        lead: One sentence on what it is for.
        set_name: The set whose labels the page's results rest on, if any.

    Returns:
        The row, for what stands at its end.
    """
    row = st.container(horizontal=True, vertical_alignment="center", gap="medium", key="head")
    row.title(title, anchor=False, width="content")
    row.html(f"<p class='ms-note'>{lead}{_labels(set_name)}</p>")
    return row


def _labels(set_name: str) -> str:
    try:
        note = items(set_name).provenance.note if set_name else ""
    except CoreError:  # the page says what is wrong with it
        return ""
    return note and f"<br>Labels: {escape(note)}"


def coloured(sign: str, colour: str) -> str:
    """Return a sign of a legend as HTML: it is seen, the words beside it are heard."""
    return f"<span aria-hidden='true' style='color:{colour}'>{sign}</span>"
