"""People's map and the model's beside each other, with what may lie over them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study
from core.layers import layer_name
from core.maps.scene import Frames
from core.maps.view import ViewSpec
from pages.map import field, play
from pages.map.field import Shown
from pages.shared import controls, maps, pictures


def people(
    set_name: str, spec: ViewSpec, look: maps.Look, shown: Shown | None, legend: Any
) -> Callable[[], Any]:
    """Draw people's map, and the legend of both; return what makes its figure, for files.

    Args:
        set_name: The set.
        spec: How it is drawn.
        look: What both maps share.
        shown: A field over it.
        legend: Where the legend belongs.
    """
    one = field.over(shown, "people", pictures.human_picture(set_name, spec), look)
    with legend:
        maps.legend(one.look)
    how = f"{controls.METHODS[spec.method]} of people's moral vectors"
    return maps.draw(
        "people",
        "People",
        one.picture,
        one.look,
        subtitle=" · ".join(filter(None, (how, one.told))),
        lines=one.lines,
        arrows=one.arrows,
        names=shown is None,
    )


def model(
    study: Study,
    spec: ViewSpec,
    look: maps.Look,
    shown: Shown | None,
    star: NDArray[np.floating] | None,
    played: tuple[Frames, list[int]] | None,
) -> Callable[[], Any]:
    """Draw the layer's map; return what makes its figure, for files.

    Args:
        study: Items and model.
        spec: The layer, and how it is drawn.
        look: What both maps share.
        shown: A field over it.
        star: Place of a sentence of one's own.
        played: The layers that it can move through.
    """
    frames, layers = (None, []) if played is None else played
    at = None if frames is None else frames.at
    one = field.over(shown, "model", pictures.model_picture(study, spec), look, at)
    how = (
        f"{controls.METHODS[spec.method]} of states: {controls.POOLINGS[spec.pooling].lower()}, "
        f"{spec.scaling}"
    )
    return maps.draw(
        "model",
        f"{study.card.name} · {layer_name(spec.layer, long=True)}",
        one.picture,
        one.look,
        star,
        subtitle=" · ".join(filter(None, (how, one.told))),
        lines=one.lines,
        arrows=one.arrows,
        names=shown is None,
        frames=frames,
        on_frame=lambda number: play.open_frame(number, layers),
    )
