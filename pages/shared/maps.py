"""The two maps: one look for both, one selection on both, how far to trust each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core import charts as core_charts
from core.dataset.items import Items
from core.dataset.labels import labels_of, typical_members
from core.maps import files
from core.maps import plots as maps_plots
from core.maps import scene as maps_scene
from core.maps.landmarks import landmarks
from core.maps.scene import Arrows, Frames, Line, Scene, Words
from core.maps.view import Colouring, Picture
from core.palette import OWN
from core.wording import interval
from pages.shared import selection
from pages.shared.atlas import component
from pages.shared.atlas.component import Said

#: The maps of a page mark, choose and filter the same items.
_GROUP: Final = "maps"


@dataclass(frozen=True, eq=False)
class Look:
    """What both maps share."""

    items: Items
    """The actions, a point each."""

    table: pd.DataFrame
    """Their facts, in the same order."""

    colours: Colouring
    """What colours them."""

    chosen: NDArray[np.bool_]
    """The selection; the rest turns grey."""

    marked: NDArray[np.bool_]
    """Matches of the search; they are ringed."""

    point: int | None = None
    """Row of the item that was clicked."""

    near: Sequence[int] = ()
    """Rows that are joined with it."""

    on_point: Callable[[object], None] | None = None
    """Called with the row of an item that is clicked."""

    @cached_property
    def words(self) -> Words:
        """What is read on each item."""
        return maps_scene.words_data(self.table)

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Which items make up each pole's centre, ``(n, 10)``."""
        return typical_members(labels_of(self.items))


def legend(look: Look) -> None:
    """Explain colours and shapes once for all maps; a click on an entry filters them."""
    component.legend(_GROUP, look.colours, look.words)


def draw(
    side: str,
    title: str,
    picture: Picture,
    look: Look,
    own: NDArray[np.floating] | None = None,
    *,
    subtitle: str,
    limits: Sequence[tuple[float, float]] | None = None,
    lines: Sequence[Line] = (),
    arrows: Sequence[Arrows] = (),
    names: bool = True,
    small: bool = False,
    frames: Frames | None = None,
    on_frame: Callable[[object], None] | None = None,
    told: str = "",
) -> Callable[[], Any]:
    """Draw one map with its title and how far to trust it.

    Args:
        side: What it shows: part of its key and of names of files.
        title: Above the map.
        picture: Where the items lie.
        look: What all maps of the page share.
        own: Place of a sentence of one's own, shape ``(dims,)``.
        subtitle: In files: how the map is made.
        limits: Least and largest x, and y, of maps that share a scale.
        lines: Beneath the points of a flat map, such as contours.
        arrows: On top of them.
        names: Whether the poles are named on a flat map.
        small: Whether it is a picture to begin with, with few tools and no words beneath.
        frames: Places between which a flat map moves.
        on_frame: Called with the number of a frame that is to be opened.
        told: Said after the trust line.

    Returns:
        A function that makes the Plotly figure of the same, for files: title, legend and source
        are part of it.
    """
    subtitle = f"{subtitle} · coloured by {look.colours.title}"
    source = _source(look, picture)

    def figure() -> Any:
        made = maps_plots.map_figure(
            picture,
            look.colours,
            look.items.pole,
            maps_plots.hover_texts(look.table),
            chosen=look.chosen,
            marked=look.marked,
            own=own,
            scale=side == "model",
            name=f"moralscope-{side}",
        )
        if picture.points.shape[1] == 2:
            made = files.with_drawn(made, lines, arrows)
        return files.captioned(made, look.colours, files.Caption(title, subtitle, source))

    alt = f"{title}: scatter of {len(look.items)} actions; the table below holds the same."
    if picture.points.shape[1] == 2:
        st.markdown(f"**{title}**")
        scene = Scene(
            picture,
            look.colours,
            look.items.pole,
            chosen=look.chosen,
            marked=look.marked,
            point=look.point,
            own=own,
            limits=limits,
            lines=lines,
            arrows=[*arrows, *_joined(picture, look, None if frames is None else frames.at)],
            frames=frames,
            centres=landmarks(picture.points, look.members) if names else None,
        )
        component.draw(
            f"chart-{side}",
            _GROUP,
            Said(
                title,
                alt,
                subtitle,
                source,
                f"moralscope-{side}",
                small,
            ),
            scene,
            look.words,
            on_chosen=lambda rows: selection.choose_rows(rows, look.items),
            on_point=look.on_point,
            on_frame=on_frame,
        )
    else:  # Plotly can turn it, and says in its files what it is; there is no selection in 3-D
        config = core_charts.config(f"moralscope-{side}")
        st.plotly_chart(figure(), key=f"chart-{side}-3d", config=config, alt=alt)
    if not small:
        st.caption(f"{trust_line(picture)} {told}".strip())
    return figure


def _joined(picture: Picture, look: Look, frame: int | None) -> list[Arrows]:
    """Return lines from the clicked item to those that are joined with it, at one frame."""
    if look.point is None or not len(look.near):
        return []
    ends = picture.points[np.asarray(look.near)]
    start = np.repeat(picture.points[[look.point]], len(ends), axis=0)
    rows = np.asarray(look.near)
    return [Arrows(start, ends, OWN, "Neighbours", rows, heads=False, frame=frame)]


def _source(look: Look, picture: Picture) -> str:
    """Return the foot of a map's files."""
    where = look.items.provenance
    cited = f" {where.citation}" if where.citation else ""
    return (
        f"{len(look.items):,} actions · {where.name}, licence: {where.licence}.{cited} "
        f"{trust_line(picture)} Made with Moralscope."
    )


def trust_line(picture: Picture) -> str:
    """Return how far to trust a picture, in one or two sentences."""
    if picture.trust is None:
        return (
            "Each axis is a measured quantity. Actions of other foundations sit near zero; points "
            "that share a place are spread into a disc."
        )
    trust = picture.trust
    trusted, kept = trust.figures
    ends = f" [{kept.low:.0%}, {kept.high:.0%}]" if trust.sampled else ""
    asked = f", by {trust.sampled:,} sampled points ranked among all" if trust.sampled else ""
    variance = "" if np.isnan(picture.explained) else f" · {picture.explained:.0%} of the variance"
    return (
        f"Trustworthiness {interval(trusted, 2)} (random .50) · keeps {kept.value:.0%}{ends} of "
        f"the 10 true neighbours (random {trust.chance:.1%}){asked}{variance}. Distances between "
        "far groups and the sizes of groups mean nothing."
    )
