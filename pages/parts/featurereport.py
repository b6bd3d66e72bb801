"""What the chosen dictionary is worth on tokens it was not trained on."""

from typing import Any

import streamlit as st

from core.dictionaries import KeptDictionary, find_dictionary
from core.dictionaryfigures import density_figure, report_table, worth_figure
from core.dictionaryshelf import Shelved
from core.figures import config
from core.sae import DictionaryError
from core.study import Study
from pages.parts.bench import bench


def show(study: Study, shelved: Shelved) -> None:
    """Draw the report: a line, and behind it charts, density and table."""
    try:
        kept = find_dictionary(bench().store, study.card, shelved.digest)
    except DictionaryError:
        st.caption(
            f"Layer {shelved.layer}, {shelved.n_latents:,} latents, brought from elsewhere: what "
            "it is worth on held-out tokens was not measured here."
        )
        return
    own, costs = kept.report.fits["dictionary"], kept.report.costs
    components, random = (kept.report.fits[name].fvu.value for name in ("components", "random"))
    st.markdown(
        f"On {kept.report.tokens:,} held-out tokens it misses **{own.fvu.value:.1%}** of the "
        f"variance (as many principal components {components:.1%}, random directions "
        f"{random:.1%}) with **{own.l0.value:.0f}** latents on per token; "
        f"{kept.report.dead:.0%} are never on. Reading it instead of the layer costs "
        f"**{costs.added['dictionary'].value:.2f}** nats per token (the mean state "
        f"{costs.added['mean'].value:.2f})."
    )
    with st.expander("How good is this dictionary?"):
        _charts(kept)


def _charts(kept: KeptDictionary) -> None:
    report = kept.report
    train, held = kept.corpus["train"], kept.corpus["held_out"]
    plain = config("moralscope-dictionary") | {"displayModeBar": False, "scrollZoom": False}
    st.plotly_chart(
        worth_figure(report),
        key="worth",
        config=plain,
        alt="Variance missed and cross-entropy added beside controls; the table below holds both.",
    )
    st.plotly_chart(
        density_figure(report),
        key="density",
        config=plain,
        alt="Histogram of how often latents are on.",
    )
    columns: Any = {
        name: st.column_config.NumberColumn(format="%.3f") for name in ("value", "low", "high")
    }
    st.dataframe(
        report_table(report),
        hide_index=True,
        key="report-table",
        column_config=columns,
        alt="Every figure of the dictionary's report with interval; controls are marked.",
    )
    st.caption(
        f"Trained on {train['positions']:,} tokens in {train['documents']:,} documents; judged on "
        f"{held['positions']:,} tokens in {held['documents']:,} documents that share no text with "
        f"them. First tokens are left out. {kept.spec.activation}, {kept.spec.epochs} passes."
    )
