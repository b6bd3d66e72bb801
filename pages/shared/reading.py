"""The model's side before it has read the items: start, watch, or say what it would cost."""

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.layers import EMBEDDING
from core.maps.placing import Reading
from core.maps.view import ViewSpec
from pages.shared import bench as shared_bench
from pages.shared import progress, sidebar
from pages.shared.bench import bench

#: The packaged model reads this many texts without being asked: about a minute on two cores.
UNASKED = 4000


def study(set_name: str) -> Study | None:
    """Return the study of the sidebar's set and model; say why there is none."""
    try:
        return shared_bench.study(set_name, *sidebar.model_choice())
    except CoreError as error:
        st.error(str(error))
        return None


def seen(study: Study | None, spec: ViewSpec) -> Reading | None:
    """Return the layer's reading, None while the model has not read the items."""
    if study is None or not bench().is_read(study):
        return None
    return shared_bench.reading(study, spec)


def layer_title(spec: ViewSpec) -> str:
    """Return the layer's name for people."""
    return "embedding output" if spec.layer == EMBEDDING else f"layer {spec.layer}"


def panel(study: Study) -> bool:
    """Return True if the items were read; else show the reading, or offer it."""
    work = bench()
    if work.is_read(study):
        return True
    job = work.runner.get(work.read_key(study))
    unasked = study.card.spec.source == "packaged" and len(study.plan.prompts) <= UNASKED
    if job is None and unasked:
        job = work.read(study)
    if job is not None and job.active:
        progress.watch(job.key)
        st.caption(
            "The first time, the model is unpacked into the cache (about 20 s); later it opens "
            "in seconds. You may leave this page: the reading goes on."
        )
        return False
    if job is not None:
        progress.ended(job)
    with st.container(border=True):
        st.markdown(f"**{study.card.name}** has not read these actions yet.")
        st.caption(
            f"{len(study.plan.prompts):,} texts · {study.card.n_layers} layers × "
            f"{study.card.d_model} · {study.plan.size / 1e6:,.0f} MB on disk · needs about "
            f"{study.card.needed_bytes / 1e9:.1f} GB of memory ({study.card.reason})"
        )
        if st.button("Read them", type="primary", icon=":material/play_arrow:"):
            work.read(study)
            st.rerun()
    return False


def draw_ahead(study: Study, spec: ViewSpec) -> None:
    """Draw and measure the other layers beside the page, so that the slider answers at once."""
    bench().measure(study, spec.pooling, spec.scaling)
    if spec.method != "axes":
        bench().layouts(study, spec.pooling, spec.scaling, spec.layout)
