"""The leaderboard's pictures, its table of all four tests, and the files."""

from html import escape

import pandas as pd
import streamlit as st

from core import exports
from core.charts import config
from core.leaderboard import effects as leaderboard_effects
from core.leaderboard import plots as leaderboard_plots
from core.leaderboard import view as leaderboard_view
from pages.leaderboard.table import Choice
from pages.shared.frame import coloured

_FIRST = ["shown", "group", "parameters", "test", "value", "low", "high", "verdict", "layer"]

_NUMBER = st.column_config.NumberColumn(format="%.3f")


def show(choice: Choice) -> None:
    """Draw the chosen test: who stands where, and figures against parameters."""
    rows, test = choice.rows, choice.test
    st.subheader(f"{leaderboard_view.counted(rows)}, {test}", anchor="standings")
    st.markdown(leaderboard_view.lead(rows, test))
    _legend(rows)
    left, right = st.columns(2)
    with left:
        st.plotly_chart(
            leaderboard_plots.standings_figure(rows, test),
            key="standings",
            config=config(f"moralscope-leaderboard-{test}"),
            alt="Every model's figure with interval and controls. "
            f"{leaderboard_view.spoken(rows, test)}.",
        )
        taught = " Hollow: trained on these labels, so no evidence."
        st.caption(
            "Whiskers: 95 % interval. Grey: the band that shuffled labels give."
            + taught * bool((rows["level"] == "taught").any())
        )
    with right:
        st.plotly_chart(
            leaderboard_plots.size_figure(rows, test),
            key="sizes",
            config=config(f"moralscope-size-{test}"),
            alt=f"Figures against parameters on a log axis. {leaderboard_view.spoken(rows, test)}.",
        )
        st.dataframe(
            leaderboard_view.averages(rows, test),
            hide_index=True,
            key="groups",
            column_config=dict.fromkeys(("lowest", "median", "highest"), _NUMBER),
            alt=f"Models of each {choice.group} with lowest, median and highest figure.",
        )


def effects(choice: Choice) -> None:
    """Draw whether size and training go with the figures, a model counting once."""
    st.subheader("Size and training", anchor="effects")
    found = leaderboard_effects.effects(choice.rows)
    st.markdown(leaderboard_effects.told(found, choice.test))
    if found["effect"].isna().all():  # too few models: the sentence says how many are needed
        return
    number = st.column_config.NumberColumn
    st.dataframe(
        found,
        hide_index=True,
        key="effects",
        column_config={
            **dict.fromkeys(("effect", "low", "high", "chance", "p"), _NUMBER),
            "p_together": number("p, all counted", format="%.3f", help="Holm, over all rows."),
            "models": number(help="The unit: neither layers nor texts add to it."),
            "note": st.column_config.TextColumn(width="large"),
        },
        alt="Association of each test's figure with parameters and training, over models.",
    )
    st.caption(
        "One figure of each trained model; untrained copies are left out, runs of one model "
        "averaged. p: share of the arrangements of figures over models that go as far; within "
        "families where these allow it, since sisters share data and recipe."
    )


def _legend(rows: pd.DataFrame) -> None:
    signs = "".join(
        f"<span>{coloured(one.sign, one.colour)} {escape(one.name)}</span>"
        for one in leaderboard_plots.legend(rows)
    )
    st.html(f"<div class='ms-legend'>{signs}</div>")


def table(found: pd.DataFrame, choice: Choice) -> None:
    """Draw the table twin of all four tests, and offer it as files."""
    st.subheader("All four tests", anchor="table")
    rows = choice.rows
    st.dataframe(
        rows,
        hide_index=True,
        key="board",
        column_order=[*_FIRST, *(name for name in rows.columns if name not in (*_FIRST, "name"))],
        column_config={
            "shown": "model",
            **{name: _NUMBER for name in rows.columns if rows[name].dtype == float},
            "parameters": st.column_config.NumberColumn(format="compact"),
        },
        alt="One row per model and test: figure, interval, verdict, controls.",
    )
    row = st.container(horizontal=True, vertical_alignment="center")
    for label, make, name in (
        ("CSV", lambda: exports.csv_bytes(found), "moralscope-leaderboard.csv"),
        ("Parquet", lambda: exports.parquet_bytes(found), "moralscope-leaderboard.parquet"),
    ):
        row.download_button(label, make, name, icon=":material/download:", on_click="ignore")
    row.caption("The files hold all runs on this set, however they were measured.")
