"""The model's side before it has read the items: start, watch, or say what it would cost."""

import streamlit as st

from core import CoreError
from core.activations.jobs import reading
from core.activations.study import Study
from core.diagnosis.jobs import measured
from core.maps.jobs import layouts
from core.maps.placing import LayerCloseness
from core.maps.view import ViewSpec
from pages.shared import bench as shared_bench
from pages.shared import pictures, progress, routes, sidebar
from pages.shared.bench import workbench

#: The packaged model reads this many texts without being asked: about a minute on two cores.
UNASKED = 4000


def study(set_name: str) -> Study | None:
    """Return the study of the sidebar's set and model; say why there is none."""
    try:
        return shared_bench.study(set_name, *sidebar.model_choice())
    except CoreError as error:
        st.error(str(error))
        st.button("Back to the built-in model", on_click=routes.set_widgets, args=(sidebar.FIRST,))
        return None


def seen(study: Study | None, spec: ViewSpec) -> LayerCloseness | None:
    """Return the layer's reading, None while the model has not read the items."""
    if study is None or not reading(workbench(), study).has():
        return None
    return pictures.closeness(study, spec)


def panel(study: Study) -> bool:
    """Return True if the items were read; else show the reading, or offer it."""
    made = reading(workbench(), study)
    if made.has():
        return True
    note = "You may leave this page: the reading goes on."
    if study.card.spec.source == "packaged" and study.card.folder is None:
        note = (
            "The first time, the model is unpacked into the cache (about 20 s); later it opens in "
            f"seconds. {note}"
        )
    if progress.making(made, note, unasked=is_cheap(study)):
        return False
    with st.container(border=True):
        st.markdown(f"**{study.card.name}** has not read these actions yet.")
        st.caption(
            f"{len(study.plan.prompts):,} texts · {study.card.n_layers} layers × "
            f"{study.card.d_model} · {study.plan.size / 1e6:,.0f} MB on disk · needs about "
            f"{study.card.needed_bytes / 1e9:.1f} GB of memory ({study.card.reason})"
        )
        progress.offer(st, made, "Read them", type="primary")
    return False


def is_cheap(study: Study) -> bool:
    """Tell whether a study's work is begun without being asked for: it takes minutes, once."""
    return study.card.spec.source == "packaged" and len(study.plan.prompts) <= UNASKED


def draw_ahead(study: Study, spec: ViewSpec) -> None:
    """Draw and measure the other layers beside the page, so that the slider answers at once."""
    work = workbench()
    work.runner.ensure(measured(work, study, spec.pooling, spec.scaling))
    if spec.method != "axes":
        work.runner.ensure(layouts(work, study, spec.pooling, spec.scaling, spec.layout))
