"""Widgets whose value lives in the address bar under a stable name.

Streamlit's own binding writes the label that is shown; a link must outlive a change of wording, so
the option itself is written here. A value that is not possible is ignored.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, TypeVar

import streamlit as st

T = TypeVar("T", str, int, bool)


class Bound(TypedDict):
    """What a bound widget is called with."""

    key: str
    persist_state: Any


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
