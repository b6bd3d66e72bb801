"""Arms beside each other: net win rates, dimensions, each with its table."""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from core.charts import config
from core.evaluation.judging import Question
from core.evaluation.plots import arms_figure
from core.evaluation.report import Evaluation
from core.evaluation.view import BROKEN_MEANS, again_band, arm_rows, arm_table, dimension_table
from core.wording import interval

_NUMBER: Final = st.column_config.NumberColumn
_COLUMNS: Final[dict[str, Any]] = {
    "KL": _NUMBER(format="%.3f", help="What it costs on neutral sentences, nats per token."),
    "net": _NUMBER("net win rate", format="%.2f", help="Wins and half the ties."),
    "net low": _NUMBER("low", format="%.2f"),
    "net high": _NUMBER("high", format="%.2f"),
    "broken": _NUMBER("broken answers", format="percent", help=BROKEN_MEANS),
    "without broken": _NUMBER(format="%.2f", help="Net win rate without broken answers."),
    "without broken low": _NUMBER("low   ", format="%.2f"),
    "without broken high": _NUMBER("high   ", format="%.2f"),
    "sign p": _NUMBER(format="%.3f", help="Exact sign test of wins against losses."),
    "equal length": _NUMBER(format="%.2f", help="Net win rate where both answers are as long."),
    "equal length low": _NUMBER("low ", format="%.2f"),
    "equal length high": _NUMBER("high ", format="%.2f"),
    "strength": _NUMBER(format="%+.2f", help="Bradley and Terry's, in logits over plain."),
    "strength low": _NUMBER("low  ", format="%+.2f"),
    "strength high": _NUMBER("high  ", format="%+.2f"),
    "first": _NUMBER("took the first", format="%.2f", help=".5: no preference for a place."),
    "consistent": _NUMBER(format="%.2f", help="Same verdict in both orders."),
    "as the paper": _NUMBER(
        format="%.2f", help="Wins over all in one order, as arXiv 2603.15615 counts."
    ),
    "words": _NUMBER(format="%.0f"),
    "cut": _NUMBER("cut off", format="percent"),
    "repeated": _NUMBER(format="percent", help="Runs of three words that stood there before."),
    "perplexity": _NUMBER(format="%.1f", help="Under the plain model; geometric mean."),
    "perplexity low": _NUMBER("low    ", format="%.1f"),
    "perplexity high": _NUMBER("high    ", format="%.1f"),
}


def show(found: Evaluation, question: Question) -> Callable[[], Any]:
    """Draw the arms; return a function that makes the chart."""
    rows, again = arm_rows(found, question), again_band(found, question)
    faint = found.trust.level == "chance"

    def chart() -> Any:
        return arms_figure(rows, again, faint=faint)

    st.markdown("**Net win rate over the plain model**", help="Wins and half the ties, of all.")
    st.plotly_chart(
        chart(),
        key="evaluate-arms",
        config=config("moralscope-evaluate") | {"displayModeBar": False, "scrollZoom": False},
        alt="Net win rate of each arm over the plain model with 95 % interval, with and without "
        "its broken answers, beside one half and the plain model over itself; the table below "
        "holds the same.",
    )
    st.caption(
        "Grey: within chance or A/A (the shaded band). Hollow: without its broken answers. A "
        "cross: its text is broken as a whole. Perplexity under the plain model: "
        + ", ".join(f"{arm} {interval(found.perplexity(arm), 1)}" for arm in found.answers)
        + ".",
        help=BROKEN_MEANS,
    )
    _table(arm_table(found, question), "evaluate-table", "All figures of each arm.")
    with st.expander("By dimension"):
        _table(dimension_table(found, question), "evaluate-dimensions", "Net win rate by dimension")
    return chart


def _table(table: Any, key: str, alt: str) -> None:
    st.dataframe(table, hide_index=True, key=key, column_config=_COLUMNS, alt=alt, placeholder="–")
