"""How fields of typicality are shown: contours and arrows on the map, figures in words and a table.

Orange above the middle of a pole, purple below, so that both fields and both sets of labels read
alike; arrows point where typicality grows and are longer where it grows faster, on one scale.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.study import Study, layer_states
from core.dataset.items import Items
from core.maps.field import ARROW_STEP, Agreement, Field, Side, Sketch, field_of, sketch_of
from core.maps.graded import Laid, Pole
from core.maps.placing import LayerCloseness
from core.maps.scene import Arrows, Line
from core.maps.view import Colouring, Picture, ViewSpec
from core.palette import DIVERGING, FADED
from core.runtime.store import Store
from core.wording import interval

#: Percentiles at which contours are drawn, and those that say which.
LEVELS: Final = tuple(round(0.05 * step, 2) for step in range(2, 19))
_NAMED: Final = 0.1
#: Percentiles where the colours end.
_SPAN: Final = (0.25, 0.75)
SIDES: Final[Mapping[Side, str]] = {
    "people": "People's grade",
    "model": "The model's closeness",
}


def layer_field(
    store: Store, study: Study, spec: ViewSpec, picture: Picture, seen: LayerCloseness, pole: Pole
) -> Field:
    """Return the fields of a pole over a layer's map.

    Raises:
        CoreError: As ``field_of``, or the states are not stored.
    """
    return field_of(_laid(store, study, spec, picture, seen), pole)


def sketch_over(
    store: Store, study: Study, spec: ViewSpec, picture: Picture, seen: LayerCloseness, pole: Pole
) -> Sketch:
    """Return the fields of a pole over any flat map of the same items, without what they say.

    Raises:
        CoreError: As ``field_of``, or the states are not stored.
    """
    return sketch_of(_laid(store, study, spec, picture, seen), pole)


def _laid(
    store: Store, study: Study, spec: ViewSpec, picture: Picture, seen: LayerCloseness
) -> Laid:
    states = layer_states(store, study, spec.layer, spec.pooling, spec.scaling).states
    return Laid(picture.points, states[study.plan.rows], seen, study.labels, study.members)


def field_items(items: Items, picture: Picture, pole: Pole) -> tuple[Picture, Colouring]:
    """Return the map with the items of one pole alone, in grey: what is coloured is the field.

    So the colouring gives items no value; its scale is that of the contours.
    """
    points = np.where((items.pole == pole)[:, None], picture.points, np.nan).astype(np.float32)
    nothing = np.full(len(items), np.nan)
    grey = Colouring("Typicality, percentile", nothing, span=_SPAN, diverging=True, rest=FADED)
    return replace(picture, points=points), grey


def field_lines(
    field: Sketch, side: Side, *, shuffled: bool = False, frame: int | None = None
) -> list[Line]:
    """Return contours; of each round percentile the longest says which it is.

    Args:
        field: The fields.
        side: Whose.
        shuffled: Whether they are those of shuffled labels.
        frame: At which frame of a map that moves they hold.
    """
    from contourpy import contour_generator
    from plotly.colors import sample_colorscale

    values = (field.shuffled if shuffled else field.drawn)[side].heights
    made = contour_generator(field.x, field.y, np.ma.masked_invalid(values))
    lines = []
    for level in LEVELS:
        share = np.clip((level - _SPAN[0]) / (_SPAN[1] - _SPAN[0]), 0, 1)
        [colour] = sample_colorscale([list(stop) for stop in DIVERGING], [float(share)])
        named = round(level / _NAMED, 6).is_integer()
        pieces: list[NDArray[np.float64]] = list(made.lines(level))  # type: ignore[arg-type]
        found = sorted(pieces, key=len, reverse=True)
        lines += [
            Line(
                points,
                str(colour),
                width=2.0 if named else 1.0,
                label=f"{level:.1f}".lstrip("0") if named and place == 0 else "",
                frame=frame,
            )
            for place, points in enumerate(found)
        ]
    return lines


def field_arrows(
    field: Sketch, side: Side, *, shuffled: bool = False, frame: int | None = None
) -> Arrows:
    """Return arrows along the slopes; the steepest of all is as long as arrows lie apart.

    Arguments as for ``field_lines``.
    """
    one = (field.shuffled if shuffled else field.drawn)[side]
    every = [each.slopes for kind in (field.drawn, field.shuffled) for each in kind.values()]
    steepest = max((float(np.linalg.norm(s, axis=1).max()) for s in every if len(s)), default=0)
    apart = ARROW_STEP * float(field.x[1] - field.x[0])
    way: NDArray[np.float64] = one.slopes * (apart / max(steepest, 1e-12))
    return Arrows(one.arrows - way / 2, one.arrows + way / 2, "", "Slopes", frame=frame)


def field_sentence(field: Field) -> str:
    """Say whether the two fields agree, beside both controls."""
    told = field.correlation
    if told.observed.low <= told.shuffled.high:
        verdict = "The two fields agree no more than under shuffled labels"
    elif not told.beyond:
        verdict = (
            "The two fields agree beyond shuffled labels, but no more than single actions would "
            "anywhere on the map"
        )
    else:
        verdict = "The two fields agree beyond both controls"
    return (
        f"{verdict}: correlation {_told(field.correlation)}; mean cosine of the slopes "
        f"{_told(field.cosine)}."
    )


def _told(one: Agreement) -> str:
    return (
        f"{interval(one.observed)} (labels shuffled {interval(one.shuffled)}, values moved to "
        f"other places {interval(one.moved)})"
    )


def field_table(field: Field) -> pd.DataFrame:
    """Return the agreement of both fields, one row each.

    Columns: figure, value, low, high, shuffled, shuffled low, shuffled high, moved, moved low,
    moved high.
    """
    rows = [
        (name, *one.observed, *one.shuffled, *one.moved)
        for name, one in (
            ("correlation of the fields", field.correlation),
            ("mean cosine of the slopes", field.cosine),
        )
    ]
    ends = [
        f"{head}{end}".strip()
        for head, end in (
            ("", "value"), ("", "low"), ("", "high"),
            ("shuffled", ""), ("shuffled", " low"), ("shuffled", " high"),
            ("moved", ""), ("moved", " low"), ("moved", " high"),
        )
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["figure", *ends])


def field_note(field: Field) -> str:
    """Say how the fields were made."""
    return (
        f"{field.texts:,} texts of {field.pole}. Percentiles within pole and foundation, smoothed "
        f"by local linear regression that reaches {field.bandwidth:.2f} of the map's units "
        f"(Scott's rule for the places); {field.supported:.0%} of the actions lie where enough "
        "texts are around, and only there is it drawn. Shuffled: labels swapped among texts of the "
        "same pole and foundation, centres made anew. Moved: both values of an action put in "
        "another's place."
    )
