"""The answers on the moral map: each arm's mean, one pair's two texts, and how far they lie."""

from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.charts import config
from core.evaluation.landing import Landing, landing
from core.evaluation.plots import landing_map, ways_figure
from core.evaluation.report import Evaluation
from core.evaluation.view import centre_table, place_table
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

_NUMBER: Final = st.column_config.NumberColumn
_SHARE: Final = _NUMBER(format="percent")
_SIGNED: Final = _NUMBER(format="%+.3f")
_COLUMNS: Final[dict[str, Any]] = {
    "x": _NUMBER(format="%.2f"),
    "y": _NUMBER(format="%.2f"),
    **{f"{way}{end}": _SIGNED for way in ("right", "up") for end in ("", " low", " high")},
    **dict.fromkeys(("plain", "arm's", "change", "change low", "change high"), _SHARE),
}


def show(study: Study, found: Evaluation, arm: str) -> None:
    """Draw them; until they are read, offer it."""
    st.subheader("Where the answers land", anchor="landing")
    made = landing(workbench(), study, found)
    here = opened(made)
    if here is None:
        if not progress.making(made):
            st.caption("The plain model reads every answer once more, as it read the actions.")
            progress.offer(st, made, "Put the answers on the map", icon=":material/map:")
        return
    st.markdown(here.told)
    _charts(found, here, arm)
    with st.expander("By centre"):
        st.dataframe(
            centre_table(here),
            hide_index=True,
            key="evaluate-centres",
            column_config=_COLUMNS,
            alt="How close each arm's answers are to the ten centres, beside the plain ones.",
            placeholder="–",
        )


def _charts(found: Evaluation, here: Landing, arm: str) -> None:
    texts = found.prompts.texts
    rows = [-1, *range(len(texts))]
    chosen = int(
        st.selectbox(
            "Both answers to",
            rows,
            format_func=lambda row: "no question: means alone" if row < 0 else texts[row],
            **bound("landed", -1, rows),
        )
    )
    pair = None if chosen < 0 else chosen
    left, right = st.columns(2, gap="large")
    look = config("moralscope-landing") | {"displayModeBar": False, "scrollZoom": False}
    left.plotly_chart(
        landing_map(here, pair, arm),
        key="evaluate-map",
        config=look,
        alt="Map of the actions with the mean place of each arm's answers, and the two answers of "
        "the chosen pair; the table below holds their places.",
    )
    right.plotly_chart(
        ways_figure(here),
        key="evaluate-ways",
        config=look,
        alt="How far each arm's answers lie from the plain ones, with 95 % interval; the table "
        "below holds the same.",
    )
    st.caption(
        f"PCA of layer {here.layer}; grey: the actions, ● virtue, ✕ vice. Right: mean way from the "
        "plain answer to the same question, with 95 % interval over questions. Grey marks are "
        "controls."
    )
    with st.expander("Places as a table"):
        st.dataframe(
            place_table(here, found.prompts, pair),
            hide_index=True,
            key="evaluate-places",
            column_config=_COLUMNS,
            alt="Places of answers on the map, and their way from the plain ones in map widths.",
            placeholder="–",
        )
