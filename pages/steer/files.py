"""A run as files and as a link."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.comparison.receipt import RECIPE
from core.steering import jobs as steering_jobs
from core.steering.edits import SPLICES, check_recipe
from core.steering.export import markdown
from core.steering.history import Run, run_json
from pages.shared import routes
from pages.shared.bench import workbench
from pages.steer import link


def show(study: Study, run: Run) -> None:
    """Offer a run's files and its address."""
    row = st.container(horizontal=True, vertical_alignment="center")
    stem = f"moralscope-run-{run.name}"
    row.download_button(
        "JSON", run_json(run), f"{stem}.json", icon=":material/download:", on_click="ignore"
    )
    row.download_button(
        "Markdown", markdown(run), f"{stem}.md", icon=":material/download:", on_click="ignore"
    )
    if run.recipe.identity == study.plan.model:
        check_recipe(study, run.recipe, repeated=True)
        if run.recipe.operation not in SPLICES:  # no script splices a dictionary in yet
            row.download_button(
                "Python script with its files",
                lambda: steering_jobs.bundle(workbench(), study, run),
                f"{stem}.zip",
                icon=":material/download:",
                on_click="ignore",
                help="nnsight, with the direction vectors or the dictionary as safetensors; "
                "repeats it without Moralscope.",
            )
        _read_so(row, run)
    st.caption("This run's address, to be put behind the address of any Moralscope's Steer page:")
    st.code(f"/steer{link.of(run)}", language=None, wrap_lines=True)


def _read_so(row: Any, run: Run) -> None:
    """Offer to let the model read all actions under a run's steering, beside its plain self."""
    if run.recipe.active:
        routes.way(
            row,
            "Compare the readings",
            "compare",
            {"b": f"{RECIPE}{run.recipe.packed()}"},
            icon=":material/compare_arrows:",
            help="On the Compare page: the model reads all actions, steered so, beside its plain "
            "self.",
        )
