"""What the scorecard hangs on beside the texts: the template, and the draw of random weights."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from core.diagnosis import jobs as diagnosis_jobs
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.seeds import SEEDS, Copy
from core.diagnosis.templates import Phrasing
from core.runtime.made import Made
from pages.shared import bench as shared_bench
from pages.shared import progress
from pages.shared.bench import opened, workbench


class Robust(NamedTuple):
    """What can be made after the first verdicts."""

    seeds: Made[list[Copy]] | None
    """Untrained copies of several seeds; None where the first is not measured."""

    phrasings: Made[list[Phrasing]] | None
    """The headlines under several templates; None where the model itself is not here."""


def made(found: Diagnosis, untrained: Diagnosis | None) -> Robust:
    """Return what can be made of a diagnosis."""
    study, work = found.study, workbench()
    if study.card.packed:
        return Robust(None, None)
    seeds = None
    if untrained is not None:
        copies = [shared_bench.untrained(study, seed) for seed in SEEDS]
        seeds = diagnosis_jobs.untrained_seeds(
            work, found, [one for one in copies if one is not None]
        )
    return Robust(seeds, diagnosis_jobs.phrasings(work, found))


def kept(hangs: Robust) -> tuple[Sequence[Copy], Sequence[Phrasing]]:
    """Return what is made of it by now, nothing else."""
    seeds = hangs.seeds and opened(hangs.seeds)
    phrasings = hangs.phrasings and opened(hangs.phrasings)
    return seeds or (), phrasings or ()


def offer(hangs: Robust) -> None:
    """Show what is being made, or offer what is not there."""
    if hangs.phrasings is not None and not hangs.phrasings.has():
        _offer(
            hangs.phrasings,
            "One template was read. Five more ways to put the action, a chat turn among them, show "
            "how far each figure hangs on it; the model reads the items five times more.",
            "Read other templates",
        )
    if hangs.seeds is not None and not hangs.seeds.has():
        _offer(
            hangs.seeds,
            f"One untrained copy was measured. {len(SEEDS)} seeds show how far it hangs on the "
            "draw of its weights; verdicts then must clear the highest.",
            f"Measure {len(SEEDS)} untrained seeds",
        )


def _offer(one: Made[Any], why: str, label: str) -> None:
    if not progress.making(one, "You may leave this page: the work goes on."):
        row = st.container(horizontal=True, vertical_alignment="center")
        row.caption(why)
        progress.offer(row, one, label)
