"""The strip beneath the stage's map: Write, and plain and steered text in boxes of their own."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import streamlit as st

from core.activations.study import Study
from core.runtime.runner import Job
from core.steering.effects.shipped_doses import KnownDose
from core.steering.history import Run
from core.steering.view import changed_text, control_told, degenerates
from pages.steer import live_texts, stamp, texts, writer
from pages.steer.choice import Choice

_BEFORE = (
    "Press <b>Write</b> or the space bar (Esc stops): here the plain model goes on, beside it the "
    "steered one, from the same random numbers; then both texts land on the map."
)


class Box(NamedTuple):
    """One side of the strip."""

    title: str
    """What it is."""

    texts: Sequence[str]
    """One of each sample."""

    chips: Sequence[str] = ()
    """What is to be known of each, HTML."""

    note: str = ""
    """How far it is."""


@st.fragment
def show(study: Study, choice: Choice, doses: Mapping[str, KnownDose]) -> None:
    """Draw the strip; a click on Write runs it alone.

    Args:
        study: Items and model.
        choice: Where and how the controls steer.
        doses: Known doses by axis.
    """
    with st.container(key="stage-write"):
        row, told = st.container(), st.empty()
        with row:
            writing = texts.buttons(study, choice, told)
    with st.container(key="stage-texts"):
        if writing:
            live_texts.watch(live)
            return
        run, now = texts.shown(), writer.job()
        with st.container(key=f"{stamp.KEY}-strip"):
            if run is not None:
                st.html(_finished(run, doses))
            elif now is not None and now.state != "done" and _written(now):
                st.html(_boxes(*map(Box, ("Plain", "Steered"), _written(now))))
            else:
                st.html(_boxes(Box("Plain", [], [_BEFORE]), Box("Steered", [])))


def _written(now: Job) -> tuple[Sequence[str], ...]:
    """Return a job's plain and steered texts so far; nothing before the first token."""
    written = now.live.written if now.live is not None else None
    return () if written is None else (written.plain, written.steered)


def live(now: Job) -> None:
    """Draw what a job has written so far, its end in sight, and how far it is."""
    plain, steered = _written(now) or ((), ())
    note = live_texts.waits(now) if now.state == "queued" else now.note
    st.html(_boxes(Box("Plain", plain, note=note), Box("Steered", steered, note=note), live=True))


def _finished(run: Run, doses: Mapping[str, KnownDose]) -> str:
    both: list[list[float]] = [
        run.receipt.get(f"{name}_perplexity", []) for name in ("plain", "steered")
    ]
    control = control_told(run, doses)
    chips = []
    for plain, steered in zip(*both, strict=True):
        said = _chip(
            control, "At the largest safe strength; the dose with its controls stands below."
        )
        if degenerates(plain, steered):
            said += _chip(
                f"⚠ text degenerates: perplexity {steered:,.0f}, plain {plain:,.0f}",
                "Under the plain model, more than three times that of the plain text.",
            )
        chips.append(said)
    told = changed_text(run) if run.stopped or run.same else ""
    return _boxes(Box("Plain", run.plain), Box("Steered", run.steered, chips, told))


def _chip(words: str, meaning: str) -> str:
    return (
        f"<span class='ms-chip' title='{escape(meaning)}'>{escape(words)}</span>" if words else ""
    )


def _boxes(*boxes: Box, live: bool = False) -> str:
    return f"<div class='ms-boxes'>{''.join(_box(one, live=live) for one in boxes)}</div>"


def _box(box: Box, *, live: bool) -> str:
    """Return a box that scrolls by itself; the keyboard can reach it."""
    parts: list[Any] = [
        f"<h4>{box.title}{f' {number}' if len(box.texts) > 1 else ''}"
        f"{box.chips[number - 1] if number <= len(box.chips) else ''}</h4>"
        f"<p class='ms-text'>{escape(_close(text)) or '<i>nothing</i>'}</p>"
        for number, text in enumerate(box.texts, 1)
    ]
    if not parts:
        parts = [f"<h4>{box.title}</h4><p class='ms-note'>{''.join(box.chips)}</p>"]
    if box.note:
        parts.append(f"<p class='ms-note'>{escape(box.note)}</p>")
    name = "ms-box ms-live" if live else "ms-box"
    return (
        f"<div class='{name}' tabindex='0' role='region' aria-label='{box.title} text'>"
        f"<div>{''.join(parts)}</div></div>"
    )


def _close(text: str) -> str:
    """Return a text without empty lines: there is little room, and all of it stands below."""
    return "\n".join(line for line in text.strip().splitlines() if line.strip())
