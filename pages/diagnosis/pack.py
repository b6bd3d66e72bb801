"""A pack is made from what is on the Diagnosis page, and handed over as a file."""

from functools import partial

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.leaderboard import pack
from core.leaderboard.pack_file import SUFFIX
from core.runtime.store import fingerprint
from pages.shared import bench as shared_bench
from pages.shared import progress
from pages.shared.bench import workbench


def offer(study: Study) -> None:
    """Offer to put a study into a pack, and the finished pack as a file."""
    if study.card.packed:
        st.caption(f"{study.card.reason}.")
        return
    name = f"{study.card.name.split(' ')[0]}-{study.items.digest[:8]}{SUFFIX}".replace("/", "-")
    path = workbench().store.root / "packs" / name
    key = fingerprint({"pack": str(path), "plan": study.plan.base_key()})
    job = workbench().runner.get(key)
    if job is not None and job.active:
        progress.watch(job.key)
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    if job is not None and job.state == "done" and path.exists():
        with path.open("rb") as file:
            row.download_button(f"Save {name}", file, name, icon=":material/download:")
        row.caption("  \n".join(job.result.told))
        return
    if job is not None:
        progress.ended(job)
    if row.button("Make a pack", icon=":material/inventory_2:"):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = partial(pack.pack, workbench().store, study, _copy(study), path)
        workbench().runner.submit(key, f"Packing {study.card.name}", work, "data")
        st.rerun()
    row.caption(
        f"One file of about {study.plan.size / 1e6:,.0f} MB with states, maps, figures and "
        "receipts, to be opened where the model is not."
    )


def _copy(study: Study) -> Study | None:
    try:
        return shared_bench.untrained(study)
    except CoreError:  # it does not fit: the pack goes without
        return None
