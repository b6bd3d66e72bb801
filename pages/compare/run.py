"""A comparison before it is there: start it, watch it, or say what it would cost."""

from typing import Any

import streamlit as st

from core.comparison import jobs as comparison_jobs
from core.comparison.jobs import Found
from core.maps.jobs import layouts
from core.runtime.made import Made
from pages.compare.choice import Choice
from pages.shared import progress, reading
from pages.shared.bench import opened, workbench


def panel(choice: Choice) -> Found | None:
    """Return the comparison; while there is none, show its progress or offer it.

    The maps come first: they are returned alone while the rest is measured.
    """
    made = comparison_jobs.comparison(workbench(), choice.sides, choice.spec)
    found = opened(made)
    if found is not None:
        return found
    read = [one for one in choice.sides if comparison_jobs.reading(workbench(), one.study).has()]
    every = len(read) == len(choice.sides)
    maps = comparison_jobs.pictured(workbench(), read or choice.sides, choice.spec)
    if every and opened(maps) is None and progress.making(maps, unasked=True):
        return None
    note = "You may leave this page: the work goes on. Later it opens at once."
    if not progress.making(made, note, unasked=_is_cheap(choice)):
        _offer(choice, made)
    if not every:  # while one reads, the others' maps are drawn
        draw_ahead(choice)
    return opened(maps) if choice.sides[0] in read else None


def draw_ahead(choice: Choice) -> None:
    """Draw the other layers beside the page, so that the slider answers sooner."""
    work, spec = workbench(), choice.spec
    for side in choice.sides:
        read = comparison_jobs.reading(work, side.study).has()
        if read and side.study.plan.steered is None:
            work.runner.ensure(layouts(work, side.study, side.pooling, spec.scaling, spec.layout))


def _offer(choice: Choice, made: Made[Any]) -> None:
    unread = comparison_jobs.unread(workbench(), choice.sides)
    undone = comparison_jobs.undiagnosed(workbench(), choice.sides, choice.spec)
    lost = [one.card.name for one in unread if one.card.packed]
    if lost:
        st.info(
            f"The pack of {lost[0]} holds no states of these actions for it, so there is nothing "
            "to compare it by. Choose someone else for it above, or the set that was packed.",
            icon=":material/inventory_2:",
        )
        return
    with st.container(border=True):
        st.markdown("**These sides have not been compared yet.**")
        steps = [
            f"{one.card.name} reads {len(one.plan.prompts):,} texts "
            f"({one.plan.size / 1e6:,.0f} MB on disk, about {one.card.needed_bytes / 1e9:.1f} GB "
            "of memory)"
            for one in unread
        ]
        steps += [f"four tests at every layer of {one.card.name}" for one in undone]
        steps += ["states, neighbours and items of each pair are compared"]
        st.caption("One after the other: " + "; ".join(steps) + ".")
        progress.offer(st, made, "Compare", type="primary")


def _is_cheap(choice: Choice) -> bool:
    """Tell whether what is missing is cheap: the packaged model's, or only the comparison."""
    missing = comparison_jobs.unread(workbench(), choice.sides)
    missing += comparison_jobs.undiagnosed(workbench(), choice.sides, choice.spec)
    # Each step of a slider would be another steered reading.
    return all(reading.is_cheap(one) and one.plan.steered is None for one in missing)
