"""How training goes, redrawn by itself, and how it went."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import streamlit as st

from core.activations.study import Study
from core.alignment.arms import Aligned
from core.alignment.paper import DIFFERENCES, FAULTS, term_verdicts
from core.alignment.plots import STEPS, step_figure
from core.alignment.train import AlignStep
from core.alignment.view import step_table
from core.charts import config
from core.runtime.made import Made
from pages.align import results
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared.bench import workbench

_PLAIN: Final = {"displayModeBar": False, "scrollZoom": False}


@st.fragment(run_every=2.0)
def live(made: Made[Any]) -> None:
    """Draw the losses of the repaired recipe's first seed so far."""
    job = workbench().runner.of(made)
    curve = list(job.live) if job is not None and job.live else []
    if len(curve) < 2:
        return
    last = curve[-1]
    st.caption(
        f"Seed 0, on validation texts: step {last.step:,}, loss {last.loss:.3f}, CKA with people "
        f"{last.geometry:.3f} (untouched {curve[0].geometry:.3f})."
    )
    _charts(curve, "live")


def show(study: Study, found: Found, asked: Choice) -> None:
    """Draw how the first seed of the recipe went, behind a fold."""
    kept = trained(study, found, asked)
    if kept is None or not kept.curve:
        return
    with st.expander("How training went"):
        best, first = kept.curve[kept.best], kept.curve[0]
        st.caption(
            f"{kept.arm}, seed 0, on validation texts, which chose step {best.step} of "
            f"{kept.curve[-1].step} (star): CKA with people from {first.geometry:.3f} to "
            f"{best.geometry:.3f}. {_objective(kept)}Test texts were not looked at."
        )
        _charts(kept.curve, "kept", kept.best)
        st.dataframe(
            step_table(kept.curve),
            hide_index=True,
            key="steps-table",
            height=230,
            column_config=dict.fromkeys(
                (*STEPS, "merit"), st.column_config.NumberColumn(format="%.4f")
            ),
            alt="Losses on validation texts, check by check.",
        )
    if kept.arm == "paper":
        with st.expander("The paper's six terms, and its faults"):
            _terms(kept)


def trained(study: Study, found: Found, asked: Choice) -> Aligned | None:
    """Return the recipe's first seed; None if it is not kept any more."""
    digests = tuple(run.digest for run in found.report.runs if run.arm == asked.recipe)
    return results.trained(study, asked.base, found.spec, asked.recipe, digests)


def _objective(kept: Aligned) -> str:
    """Say what validation texts chose to follow people by."""
    about = kept.dictionary.info.training or {}
    chosen = about.get("aligned", {}).get("spec", {}).get("objective")
    return "" if chosen is None or kept.arm == "paper" else f"Objective: {chosen.upper()}. "


def _terms(kept: Aligned) -> None:
    st.dataframe(
        [one._asdict() | {"so it": one.said} for one in _verdicts(kept)],
        hide_index=True,
        key="terms-table",
        column_order=["name", "before", "after", "silent", "so it"],
        column_config={
            "silent": st.column_config.NumberColumn(
                "latents silent", help="The term if the trained latents were never on."
            )
        },
        alt="Each term before and after training, and what silence gives.",
    )
    st.caption(f"Faults kept as they are. {DIFFERENCES}")
    st.markdown("\n".join(f"- **{name}** {fault}" for name, fault in FAULTS.items()))


def _verdicts(kept: Aligned) -> list[Any]:
    return list(term_verdicts(kept.curve, kept.best, kept.silent))


def _charts(curve: Sequence[AlignStep], key: str, best: int | None = None) -> None:
    known = {
        name: title
        for name, title in STEPS.items()
        if np.isfinite([getattr(one, name) for one in curve]).any()
    }
    for column, (name, title) in zip(st.columns(len(known)), known.items(), strict=True):
        with column:
            st.caption(title[0].upper() + title[1:])
            st.plotly_chart(
                step_figure(curve, name, best),
                key=f"steps-{key}-{name}",
                config=config(f"moralscope-align-{name}") | _PLAIN,
                alt=f"{title} on validation texts over the steps of training.",
            )
