"""Plain and steered text side by side: written token by token, then compared word by word."""

from html import escape
from typing import Any
from uuid import uuid4

import streamlit as st

from core.history import Run
from core.jobs import Job
from core.steeredrun import Live
from core.steerview import changed_text
from core.study import Study
from core.textcompare import differing, repetition
from pages.parts import frame, progress, steerchoice
from pages.parts.bench import bench
from pages.parts.steerchoice import Choice

_STYLE = """<style>
.ms-text {white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.55; margin: 0}
.ms-text mark {color: inherit; background: rgba(230,0,122,.16); text-decoration: underline;
  text-decoration-color: #E6007A; text-decoration-thickness: 2px; text-underline-offset: 3px}
</style>"""


def owner() -> str:
    """Return who this browser session is: its texts are nobody else's."""
    return str(st.session_state.setdefault("owner", uuid4().hex))


def job() -> Job | None:
    """Return this session's latest writing."""
    work = bench()
    return work.runner.get(work.write_key(owner()))


def show(study: Study, choice: Choice) -> Run | None:
    """Draw the texts; return the run that is shown, None while there is none."""
    st.subheader("Let it write", anchor="texts")
    st.html(_STYLE)
    now = job()
    active = now is not None and now.active
    st.fragment(_texts, run_every=0.3 if active else None)(study, choice, was_active=active)
    return st.session_state.get("run")


def _texts(study: Study, choice: Choice, *, was_active: bool) -> None:
    now = job()
    active = now is not None and now.active
    if was_active and not active:
        if now is not None and now.state == "done":
            st.session_state["run"] = now.result
        st.rerun()
    with frame.told():
        _buttons(study, choice, now if active else None)
    if now is not None and active:
        _waiting(now)
    elif now is not None:
        _ended(now)
    if now is not None and now.live is not None and now.state != "done":
        _live(now.live)
    elif st.session_state.get("run") is not None:
        _compared(st.session_state["run"])


def _buttons(study: Study, choice: Choice, running: Job | None) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    if running is not None:
        row.button("Stop", icon=":material/stop_circle:", key="stop", on_click=running.cancel)
        return
    if row.button("Write", type="primary", icon=":material/edit:", key="write"):
        how = steerchoice.decoding()
        recipe = steerchoice.recipe(study, choice, how)
        parent = st.session_state.pop("parent", "")
        bench().write(study, Live(recipe, steerchoice.prompt(), parent), owner())
        st.session_state.pop("run", None)
        st.rerun()
    with row.popover("How it writes", icon=":material/settings:"):
        steerchoice.writing(chat=True)
    row.caption("Both texts draw the same random numbers: they part only where steering acts.")


def _waiting(now: Job) -> None:
    ahead = bench().runner.ahead(now)
    if now.state == "queued":
        st.caption(f"Waiting for {ahead} other job(s) of the model.")
    else:
        st.progress(now.fraction, text=now.note)


def _ended(now: Job) -> None:
    if now.state == "failed":
        progress.ended(now)
    elif now.state == "cancelled":
        st.info("Stopped. The texts so far stand here; they are not kept in the history.")


def _live(live: Live) -> None:
    if live.written is None:
        return
    for plain, steered in zip(live.written.plain, live.written.steered, strict=True):
        _pair(escape(plain), escape(steered), "", "")


def _compared(run: Run) -> None:
    st.markdown(changed_text(run))
    for number, (plain, steered) in enumerate(zip(run.plain, run.steered, strict=True)):
        left, right = differing(plain, steered)
        _pair(
            "".join(map(_marked, left)),
            "".join(map(_marked, right)),
            _judged(plain, run.receipt.get("plain_perplexity", []), number),
            _judged(steered, run.receipt.get("steered_perplexity", []), number),
        )


def _marked(piece: Any) -> str:
    text = escape(piece.text)
    return text if piece.mark == "same" else f"<mark>{text}</mark>"


def _judged(text: str, perplexities: list[float], number: int) -> str:
    said = [f"repetition {repetition(text):.0%}"] if repetition(text) >= 0 else []
    if number < len(perplexities):
        said.append(f"perplexity {perplexities[number]:,.1f}")
    return " · ".join(said)


def _pair(left: str, right: str, below_left: str, below_right: str) -> None:
    for column, name, text, below in zip(
        st.columns(2), ("Plain", "Steered"), (left, right), (below_left, below_right), strict=True
    ):
        with column.container(border=True, height="stretch"):
            st.caption(name + (f" · {below}" if below else ""))
            st.html(f"<p class='ms-text'>{text}</p>")
