"""A published dictionary, or one of a folder, by its name."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.runtime.runner import Job
from core.sae.catalogue import releases_for
from core.sae.releases import FORMS, DictionarySpec
from pages.features import arrived
from pages.shared import frame, progress
from pages.shared.bench import workbench

_ASKED = "bring-asked"


def show(study: Study) -> None:
    """Draw the box and the job that it starts."""
    with st.form("bring", border=False):
        text = st.text_input(
            "Name of the dictionary",
            key="bring",
            max_chars=400,
            placeholder="sae:gemma-scope-2-270m-pt-res/layer_12_width_16k_l0_medium",
            help=f"Forms: {FORMS}",
        )
        if st.form_submit_button("Load it", icon=":material/download:"):
            st.session_state.pop(_ASKED, None)
            with frame.told():
                spec = DictionarySpec.parse(text)
                st.session_state[_ASKED] = str(spec)
                features_jobs.bring(workbench(), study, spec)
    asked = st.session_state.get(_ASKED)
    job = None if not asked else _job(study, asked)
    if job is not None and job.active:
        progress.watch(job.key)
    elif job is not None and job.state == "done":
        arrived.offer(job.result, "bring-take")
    elif job is not None:
        progress.ended(job)
    _catalogue(study)


def _job(study: Study, asked: str) -> Job | None:
    return workbench().runner.get(features_jobs.bring_key(study, DictionarySpec.parse(asked)))


def _catalogue(study: Study) -> None:
    """Say which published ones fit this model by name."""
    fitting = releases_for(study.card.name)
    if fitting:
        names = ", ".join(f"`{one.name}`" for one in fitting[:8])
        st.caption(f"Published for this model: {names}; each with several layers and widths.")
    st.caption(
        "Read are folders of SAELens and Gemma Scope 2 and files of Qwen-Scope. Nothing in them is "
        "executed, and a dictionary of another width or model is refused."
    )
