"""Widgets whose value lives in the address bar under a stable name.

Streamlit's own binding writes the label that is shown; a link must outlive a change of wording, so
the option itself is written here. A value that is not possible is ignored.

A widget of one key is another widget on another page: Streamlit begins it with its first option,
whatever the session holds under the key, unless the session is told the value in this very run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypedDict, TypeVar

import streamlit as st

T = TypeVar("T", str, int, bool)

#: Names in the session: the page that is shown, and whether it ever came to its end since then.
_PAGE: Final = "page-shown"
_SETTLED: Final = "page-settled"


class Bound(TypedDict):
    """What a bound widget is called with."""

    key: str
    persist_state: Any


@contextmanager
def visit(page: str) -> Iterator[None]:
    """Hand the values of bound widgets over to a page; it is drawn in the block.

    Done in each run until one comes to its end: a run that is broken off draws some widgets only.
    """
    state = st.session_state
    if state.get(_PAGE) != page:
        state[_PAGE], state[_SETTLED] = page, False
    yield
    state[_SETTLED] = True


def bound(key: str, default: T, options: Sequence[T] | None = None) -> Bound:
    """Give a widget its value from the address, and the address the widget's value.

    Args:
        key: Name of the widget and of the query parameter.
        default: Value that is not written into the address.
        options: Possible values; None: any of the default's type.
    """
    state = st.session_state
    if key not in state:
        state[key] = _parsed(st.query_params.get(key), default, options)
    elif options is not None and state[key] not in options:
        state[key] = default
    elif not state.get(_SETTLED, True):
        state[key] = state[key]  # said anew: see above
    text = _text(state[key])
    if state[key] == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != text:
        st.query_params[key] = text
    return {"key": key, "persist_state": "session"}


def _parsed(text: str | None, default: Any, options: Sequence[Any] | None) -> Any:
    if text is None:
        return default
    if options is not None:
        return next((option for option in options if _text(option) == text), default)
    if isinstance(default, bool):
        return text == "1"
    return text if isinstance(default, str) else default


def _text(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else str(value)
