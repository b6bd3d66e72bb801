"""A training that runs: its curve, redrawn by itself."""

import streamlit as st

from core.charts import config
from core.sae.training.plots import training_figure
from pages.shared.bench import workbench


@st.fragment(run_every=2.0)
def live(key: str) -> None:
    """Draw how a running training stands."""
    job = workbench().runner.get(key)
    curve = list(job.live) if job is not None and job.live else []
    if not curve:
        st.caption("Tokens are read first; the curve begins with the first step.")
        return
    last = curve[-1]
    st.caption(
        f"Step {last.step:,} of {last.steps:,}: loss {last.loss:.3f}, {last.fvu:.1%} of the "
        f"variance missed, {last.l0:.1f} latents on, {last.dead:.1%} dead. Cancel pauses it; what "
        "is done is kept."
    )
    st.plotly_chart(
        training_figure(curve),
        key="training-curve",
        config=config("moralscope-training") | {"displayModeBar": False, "scrollZoom": False},
        alt="Variance missed, latents on per token and share of dead latents over training steps; "
        "the line above says where it stands.",
    )
