"""All moral latents: picture, search and table; a row opens its passport."""

from collections.abc import Sequence
from typing import Any, Final, cast

import streamlit as st

from core import exports
from core.activations.study import Study
from core.charts import config
from core.features import jobs as features_jobs
from core.features.jobs import MoralLatents
from core.features.kinds import SHOWN, Shown
from core.features.plots import latents_figure
from core.features.view import latents
from core.foundations import DIMENSIONS, Dimension
from core.runtime.store import fingerprint
from core.sae.dictionary import Dictionary
from pages.features import opened, search
from pages.shared.address import bound
from pages.shared.bench import workbench

_ANY: Final = "any"
#: Rows of a table that a browser takes at once.
_MOST: Final = 1000


def show(study: Study, dictionary: Dictionary, found: MoralLatents) -> int | None:
    """Draw the list and return the latent whose passport is open."""
    row = st.columns([1.2, 1.6, 2.4])
    dimension = row[0].selectbox(
        "Strongest first for",
        (_ANY, *DIMENSIONS),
        format_func=lambda one: "any of the ten" if one == _ANY else one,
        **bound("sort", _ANY, (_ANY, *DIMENSIONS)),
    )
    shown = row[1].segmented_control(
        "Which features",
        SHOWN,
        required=True,
        help="Features: latents of the dictionary. Moral: they tell virtue from vice within a "
        "foundation. Related: they go with a moral topic.",
        **bound("latents", "related", SHOWN),
    )
    with row[2]:
        among = search.ask(study, dictionary, found)
    table = latents(
        found.scores,
        None if dimension == _ANY else cast("Dimension", dimension),
        cast("Shown", shown),
        among,
        features_jobs.names(workbench(), dictionary),
    )
    first = int(table["latent"].iloc[0]) if len(table) else None
    opened.begin(dictionary.digest, len(found.scores.fires), first)
    if len(table):
        left, right = st.columns([1, 1.25], gap="large")
        with left:
            _picture(table, opened.number())
        with right:
            _table(table, one_dimension=dimension != _ANY)
    elif among is None:
        st.info("No latent answers this. Show related, selected or all ones, or another dimension.")
    opened.to_address()
    return opened.number()


def _picture(table: Any, chosen: int | None) -> None:
    st.plotly_chart(
        latents_figure(table.iloc[:_MOST], chosen),
        key="latents-chart",
        on_select=_picked_point,
        selection_mode="points",
        config=config("moralscope-latents") | {"displayModeBar": False, "scrollZoom": False},
        alt="Latents by share of texts and AUROC of their dimension; the table beside it holds the "
        "same. A click opens a latent.",
    )
    st.caption(
        "Colour: foundation. ● virtue, ✕ vice; bars: 95 % interval on held-out texts; dotted: "
        "chance. A click opens the passport."
    )


def _picked_point() -> None:
    points = st.session_state["latents-chart"].selection.points
    found = [point["customdata"] for point in points if "customdata" in point]
    if found:
        one = found[0]
        opened.elsewhere(int(one[0] if isinstance(one, Sequence) else one))


def _table(table: Any, *, one_dimension: bool) -> None:
    """Draw the table with the open latent marked; other rows make another table."""
    rows = table["latent"].iloc[:_MOST].tolist()
    key = f"latents-table-{fingerprint([rows, opened.times_elsewhere()])[:8]}"
    marked = [number for number, one in enumerate(rows) if one == opened.number()]
    st.dataframe(
        table.iloc[:_MOST],
        hide_index=True,
        key=key,
        height=min(400, 40 + 35 * len(rows)),
        column_order=[name for name in _ORDER if name != "dimension" or not one_dimension],
        column_config=_columns(),
        on_select=lambda: _picked_row(table, key),
        selection_mode="single-row",
        selection_default={"selection": {"rows": marked[:1]}},
        placeholder="–",
        alt="Latents with kind, dimension, AUROC on held-out texts with interval, q and flags.",
    )
    row = st.container(horizontal=True, vertical_alignment="center")
    row.download_button(
        "CSV",
        lambda: exports.csv_bytes(table),
        "moralscope-latents.csv",
        icon=":material/download:",
        on_click="ignore",
    )
    row.caption(f"{len(table):,} latents. Select a row to open its passport.")


def _picked_row(table: Any, key: str) -> None:
    rows = st.session_state[key].selection.rows
    if rows:
        opened.by_row(int(table["latent"].iloc[rows[0]]))


_ORDER: Final = (
    "latent", "name", "kind", "dimension", "membership test", "membership low", "membership high",
    "membership q", "within test", "contrast test", "gradient test", "selectivity",
    "density", "flags",
)  # fmt: skip


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "name": st.column_config.TextColumn(
            width=150,
            help="The words that it promotes most, once they were looked up: of the first 30 whole "
            "words in the script of the actions if there are three, else of the first 12 what "
            "begins a word. Or a name of yours, given in its passport.",
        ),
        "kind": st.column_config.TextColumn(width=105),
        "membership test": number(
            "tells apart",
            format="%.2f",
            help="AUROC: members against all other texts of like length, held-out texts; chance "
            "is .5.",
        ),
        "membership low": number("low", format="%.2f", help="Of the AUROC's 95 % interval."),
        "membership high": number("high", format="%.2f"),
        "membership q": number("q", format="%.3f", help="False discovery rate, training texts."),
        "within test": number(
            "within",
            format="%+.2f",
            help="Members against other texts of their foundation: AUROC above chance.",
        ),
        "contrast test": number("contrast", format="%+.2f", help="Own pole minus the opposite."),
        "gradient test": number(
            "with grade",
            format="%+.2f",
            help="Gradient: rank correlation with people's grade among members.",
        ),
        "selectivity": number(
            "one only", format="%.2f", help="Selectivity: how far above the next dimension: 0 to 1."
        ),
        "density": number("on in", format="percent", help="Density: share of texts."),
    }
