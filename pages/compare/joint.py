"""A and another side on one map, between which it slides."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import streamlit as st

from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.joint_maps import SharedMap, shared_map
from core.comparison.sides import LETTERS, side_names
from core.maps import view as maps_view
from core.maps.scene import Frames
from core.maps.view import Picture
from pages.compare.choice import Choice
from pages.shared import bench, maps, pictures, progress, selection
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

_OFF: Final = "off"


def show(set_name: str, found: Found, choice: Choice) -> list[Callable[[], Any]]:
    """Draw the choice of the other side and, if one is chosen, the map of both.

    Returns:
        Functions that make its figure, for files.
    """
    letters = LETTERS[1 : len(found.sides)]
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.subheader("Two on one map", anchor="joint")
    letter = row.segmented_control(
        "Together with A",
        [_OFF, *letters],
        required=True,
        format_func=lambda one: "Off" if one == _OFF else f"A ↔ {one}",
        label_visibility="collapsed",
        **bound("joint", _OFF, [_OFF, *letters]),
    )
    if letter == _OFF:
        st.caption(
            "Both models' states in one space, turned onto each other by their texts: a slider "
            "moves every action from its place in A to its place in the other."
        )
        return []
    place = LETTERS.index(str(letter))
    spec = choice.spec
    made = shared_map(
        workbench().store, found.sides[0], found.sides[place], spec.scaling, spec.layout
    )
    kept = opened(made)
    if kept is not None:
        return [_drawn(set_name, found, kept, str(letter))]
    if not progress.making(made, "It takes seconds, for UMAP perhaps a minute.", unasked=True):
        progress.offer(st, made, "Draw it")
    return []


def _drawn(set_name: str, found: Found, made: SharedMap, letter: str) -> Callable[[], Any]:
    items, names = bench.items(set_name), side_names(found.sides)
    look = maps.Look(
        items,
        pictures.facts(set_name, None, None),
        maps_view.colouring(items, "foundation", None),
        selection.chosen(items),
        np.zeros(len(items), bool),
    )
    other = names[LETTERS.index(letter)]
    st.markdown(comparison_view.joint_sentence(made.joint, letter))
    figure = maps.draw(
        "joint",
        f"A · {names[0]} ↔ {letter} · {other}",
        Picture(made.first, made.joint.pair.trust[0], float("nan"), None),
        look,
        subtitle=f"{letter} turned onto A by their texts, one picture of both",
        arrows=[comparison_view.joint_arrows(made, look.chosen)],
        names=False,
        frames=Frames(["A", letter], np.stack([made.first, made.second]), slides=True),
        told=f"Trust is that of A's half. Arrows lead from A to {letter}: of the selection, else "
        f"of the {comparison_view.MOST_ARROWS} actions that move furthest.",
    )
    with st.expander("The figures as a table, beside texts paired at random"):
        st.caption(
            "States are reduced to their 50 widest directions, brought to one size, turned onto "
            "each other by orthogonal Procrustes on the shared texts, and drawn together. With as "
            "many directions to turn, some likeness comes out of nothing: so the same is done with "
            "texts paired at random."
        )
        st.dataframe(
            comparison_view.joint_table(made.joint, letter).round(3),
            hide_index=True,
            key="joint-table",
            alt="Alignment, distance and trustworthiness of the joint map beside random pairs.",
        )
    return figure
