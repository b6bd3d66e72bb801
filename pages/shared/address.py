"""Widgets whose value lives in the address bar under a stable name.

Streamlit's own binding writes the label that is shown; a link must outlive a change of wording, so
the option itself is written here. A value that is not possible is ignored.

A page is one step of the browser's history, whatever is set on it. Who comes Back or Forward finds
what the address of that step says; what it does not name for another page stays as it is.

A widget of one key is another widget on another page: Streamlit begins it with its first option,
whatever the session holds under the key, unless the session is told the value in this very run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypedDict, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

T = TypeVar("T", str, int, bool)

#: Names in the session: the page that is shown, and whether it ever came to its end since then.
_PAGE: Final = "page-shown"
_SETTLED: Final = "page-settled"
#: What was read from the address since the browser went Back or Forward; None if it did not.
_REREAD: Final = "page-reread"
#: In an address that is written before the browser has come to the page: which page it is for.
_TO: Final = "to"
#: Streamlit pushes an entry for each change of the address, and may write the address of a page
#: into the entry of the page before. Here a change replaces, and what is for a page waits for it.
_ONE_ENTRY: Final = """<script>
if (!Object.hasOwn(history, "pushState")) {
    let waiting = null;
    addEventListener("popstate", () => { waiting = null; });
    history.pushState = (state, title, url) => {
        const next = new URL(url, location.href);
        const to = next.searchParams.get("to");
        if (to !== null) next.searchParams.delete("to");
        if (next.pathname !== location.pathname) {
            if (waiting !== null) next.search = waiting;
            waiting = null;
            History.prototype.pushState.call(history, state, title, next);
        } else if (to === location.pathname.split("/").pop() || (to ?? waiting) === null) {
            waiting = null;
            history.replaceState(state, title, next);
        } else {
            waiting = next.search;
        }
    };
}
</script>"""


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
    context = get_script_run_ctx()
    travels = context is not None and context.is_history_navigation
    if travels:
        state[_REREAD] = set()
    if (before := state.get(_PAGE)) != page:
        state[_PAGE], state[_SETTLED] = page, False
        if before is not None and not travels:  # by a link or a button
            state[_REREAD] = None
            st.query_params.from_dict({_TO: page})
    with st.container(key="one-entry"):
        st.html(_ONE_ENTRY, unsafe_allow_javascript=True)
    yield
    state[_SETTLED], state[_REREAD] = True, None
    st.query_params.pop(_TO, None)


def leave(page: Any) -> None:
    """Go to a page; the entry of this one in the browser's history stays as it is."""
    st.switch_page(page, query_params={_TO: page.url_path})


def is_told_anew(name: str) -> bool:
    """Tell, once for each name, that the address holds since the browser went Back or Forward."""
    read: set[str] | None = st.session_state.get(_REREAD)
    if read is None or name in read:
        return False
    read.add(name)
    return True


def bound(key: str, default: T, options: Sequence[T] | None = None) -> Bound:
    """Give a widget its value from the address, and the address the widget's value.

    Args:
        key: Name of the widget and of the query parameter.
        default: Value that is not written into the address.
        options: Possible values; None: any of the default's type.
    """
    state = st.session_state
    if is_told_anew(key) or key not in state:
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
