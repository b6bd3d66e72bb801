"""What the change moves besides: each foundation's texts along every foundation's direction."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.alignment.off_target import off_target, off_target_table, summary_table, told, widest
from core.alignment.plots import off_target_figure
from core.charts import config
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared.address import bound


def show(found: Found, asked: Choice) -> list[Callable[[], Any]]:
    """Draw the recipe's matrix beside a control's; return functions that make the chart."""
    every = {one.arm: one for one in off_target(found.report, asked.target)}
    mine = every.get(asked.recipe)
    if mine is None:
        return []
    st.subheader("Does it move only what it should?", anchor="off-target")
    others = [arm for arm in every if arm != asked.recipe]
    shown = [mine]
    if others:
        preferred = "random latents" if "random latents" in others else others[0]
        beside = st.selectbox("Beside", others, width=260, **bound("beside", preferred, others))
        shown.append(every[str(beside)])
    limit = widest(shown)
    for number, (column, one) in enumerate(zip(st.columns(2), shown, strict=False)):
        column.markdown(f"**{one.arm}, minus the untouched**")
        column.plotly_chart(
            off_target_figure(one, limit),
            key=f"off-target-{number}",
            config=config("moralscope-off-target") | {"displayModeBar": False, "scrollZoom": False},
            alt=f"Heat map: how much further {one.arm} draws virtue from vice, texts of each "
            "foundation along each foundation's direction; the table below holds the same.",
        )
    st.markdown("\n".join(f"- {told(one)}" for one in shown))
    st.caption(
        f"How much further virtue lies from vice on test texts at layer {found.report.layer}, in "
        "standard deviations, with 95 % intervals; bold: 0 is left out."
    )
    with st.expander("As a table"):
        for key, table, alt in (
            ("off-target-means", summary_table(list(every.values())), "Means of every arm."),
            ("off-target-table", off_target_table(list(every.values())), "All cells of all arms."),
        ):
            st.dataframe(table, hide_index=True, key=key, alt=alt, placeholder="–")
    return [partial(off_target_figure, one, limit) for one in shown]
