"""A comparison before it is there: start it, watch it, or say what it would cost."""

import streamlit as st

from core.comparison import jobs as comparison_jobs
from core.comparison.jobs import Found
from pages.compare.choice import Choice
from pages.shared import bench as shared_bench
from pages.shared import progress, reading
from pages.shared.bench import bench


def panel(choice: Choice) -> Found | None:
    """Return the comparison; while there is none, show its progress or offer it."""
    found = shared_bench.compared(choice.sides, choice.spec)
    if found is not None:
        return found
    work, sides, spec = bench(), choice.sides, choice.spec
    job = comparison_jobs.running(work, sides, spec)
    asked = st.session_state.get("compare-asked") == comparison_jobs.compare_key(sides, spec)
    stopped = job is not None and job.state in ("failed", "cancelled")
    if not stopped and (asked or _unasked(choice)):
        job = comparison_jobs.next_job(work, sides, spec)
    if job is not None and job.active:
        progress.watch(job.key)
        st.caption("You may leave this page: the work goes on. Later it opens at once.")
        return None
    if job is not None:
        progress.ended(job)
    _offer(choice)
    return None


def _offer(choice: Choice) -> None:
    work, sides, spec = bench(), choice.sides, choice.spec
    unread = comparison_jobs.unread(work, sides)
    undone = comparison_jobs.undiagnosed(work, sides, spec)
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
        steps += [f"four tests at every layer of {one.study.card.name}" for one in undone]
        steps += ["states, neighbours and items of each pair are compared"]
        st.caption("One after the other: " + "; ".join(steps) + ".")
        if st.button("Compare", type="primary", icon=":material/play_arrow:"):
            st.session_state["compare-asked"] = comparison_jobs.compare_key(sides, spec)
            comparison_jobs.next_job(work, sides, spec)
            st.rerun()


def _unasked(choice: Choice) -> bool:
    """Tell whether what is missing is cheap: the packaged model's, or only the comparison."""
    work, sides, spec = bench(), choice.sides, choice.spec
    missing = comparison_jobs.unread(work, sides)
    missing += [side.study for side in comparison_jobs.undiagnosed(work, sides, spec)]
    return all(
        one.card.spec.source == "packaged"
        and one.plan.steered is None  # each step of a slider would be another reading
        and len(one.plan.prompts) <= reading.UNASKED
        for one in missing
    )
