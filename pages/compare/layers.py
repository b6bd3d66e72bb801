"""How alike the layers are: CKA of all pairs, and shared neighbours at equal depth."""

from typing import Any

import streamlit as st

from core.charts import config
from core.comparison import plots as comparison_plots
from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS
from core.wording import interval, number
from pages.compare import against

_PLAIN = {"displayModeBar": False, "scrollZoom": False}


def show(found: Found) -> list[Any]:
    """Draw both; return their figures."""
    st.subheader("How alike the layers are", anchor="layers")
    place = against.ask(st, "against", len(found.sides))
    letter = LETTERS[place + 1]
    left, right = st.columns(2)
    with left:
        heat = _cka(found, place, letter)
    with right:
        near = _neighbours(found)
    return [heat, near]


def _cka(found: Found, place: int, letter: str) -> Any:
    st.markdown(f"**CKA of each layer of A with each of {letter}**")
    profile, second = found.profiles[place], found.sides[place + 1]
    figure = comparison_plots.cka_heatmap(profile, found.sides[0], second, letter)
    _chart("cka", figure, f"Linear CKA of all pairs of layers of A and {letter}; table below.")
    alike = found.comparisons[place].cka
    st.caption(
        f"1 the same arrangement of texts, about 0 by chance (debiased). Framed, the layers shown: "
        f"{interval(alike.observed)}; texts paired at random {interval(alike.shuffled)}; not "
        f"debiased {number(alike.plain)}."
    )
    with st.expander("As a table"):
        st.dataframe(
            comparison_view.cka_table(profile),
            hide_index=True,
            key="cka-table",
            alt=f"Linear CKA of all pairs of layers of A and {letter}; −1 is the embedding.",
        )
    return figure


def _neighbours(found: Found) -> Any:
    st.markdown("**Nearest neighbours shared with A**")
    figure = comparison_plots.overlap_figure(found.profiles, found.sides[0], [found.sides[0].depth])
    _chart("overlap", figure, "Share of ten nearest neighbours shared with A, over depth.")
    st.caption(
        "Of an action's 10 nearest actions in A, the share that is among the 10 nearest of the "
        "other at the same depth. Grey: texts paired at random."
    )
    with st.expander("As a table"):
        st.dataframe(
            comparison_view.overlap_table(found.profiles, found.sides[0]),
            hide_index=True,
            key="overlap-table",
            alt="Shared neighbours at each depth with interval and chance.",
        )
    return figure


def _chart(key: str, figure: Any, alt: str) -> None:
    st.plotly_chart(figure, key=key, config=config(f"moralscope-{key}") | _PLAIN, alt=alt)
