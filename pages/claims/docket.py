"""Which docket is judged: the paper's, or one's own, uploaded or typed."""

from typing import Final, NamedTuple

import streamlit as st

from core.claims.docket import MOST_BYTES, PAPER_FILE
from core.claims.evidence import cached
from core.claims.judge import Verdict
from pages.claims import results
from pages.shared.address import bound
from pages.shared.bench import workbench

_DOCKETS: Final = {"paper": "The paper's claims", "own": "Your own"}
_EXAMPLE: Final = """[[claim]]
name = "This model grades typicality beyond word counts"
models = ["packaged"]   # or "all", or a group: {training = "base"}
test = "gradient"       # categorical, gradient, structural, dimensional
null = "words"          # or shuffled, length, sentence, embedding, untrained
direction = "above"     # below, within
threshold = 0.1
"""


class Docket(NamedTuple):
    """What is judged."""

    content: bytes
    """The text of the docket."""

    name: str
    """Of its file."""


def ask() -> Docket | None:
    """Draw the choice of a docket and return it; None: there is none yet."""
    chosen = st.segmented_control(
        "Docket",
        list(_DOCKETS),
        required=True,
        format_func=lambda one: _DOCKETS[one],
        label_visibility="collapsed",
        **bound("docket", "paper", list(_DOCKETS)),
    )
    if chosen == "paper":
        return Docket(PAPER_FILE.read_bytes(), PAPER_FILE.name)
    left, right = st.columns(2)
    given = left.file_uploader(
        "A docket in TOML", type=["toml"], key="docket-file", max_upload_size=1
    )
    typed = right.text_area(
        "Or typed here", _EXAMPLE, height=190, max_chars=MOST_BYTES, key="docket-text"
    )
    if given is not None:
        return Docket(given.getvalue(), given.name)
    return Docket(typed.encode(), "What is typed") if typed.strip() else None


def judged(asked: Docket, set_name: str) -> list[Verdict]:
    """Return the verdicts on a docket.

    Raises:
        CoreError: It is no docket, or there is no such set.
    """
    return results.verdicts(asked.content, asked.name, set_name, cached(workbench().store))
