"""Colours and shapes, once for all figures: safe for colour-blind readers, legible in both themes.

Foundations carry the hue (Okabe & Ito 2008), poles carry the shape, so that no meaning rests on
colour alone.
"""

from typing import Final

from core.foundations import Foundation, Pole

FOUNDATION_COLOURS: Final[dict[Foundation, str]] = {
    "care-harm": "#D55E00",
    "fairness-cheating": "#0072B2",
    "loyalty-betrayal": "#009E73",
    "authority-subversion": "#CC79A7",
    "sanctity-degradation": "#E69F00",
}
POLE_COLOURS: Final[dict[Pole, str]] = {
    "virtue": "#0072B2",
    "vice": "#D55E00",
    "neutral": "#8C8C8C",
}
#: Shapes that 2-D and 3-D charts share.
POLE_SYMBOLS: Final[dict[Pole, str]] = {"virtue": "circle", "vice": "x", "neutral": "diamond-open"}
POLE_SIGNS: Final[dict[Pole, str]] = {"virtue": "●", "vice": "✕", "neutral": "◇"}
SPLIT_COLOURS: Final = {"train": "#0072B2", "validation": "#E69F00", "test": "#D55E00"}

#: Points outside the selection.
FADED: Final = "rgba(150,150,150,0.22)"
#: Points that have no value of the colour, such as neutral ones without a residual.
UNKNOWN: Final = "rgba(120,120,120,0.6)"
#: Sequential and diverging scales that keep their order in grey and for colour-blind readers.
SEQUENTIAL: Final = "Viridis"
DIVERGING: Final = ((0.0, "#A56CC1"), (0.5, "#BDBDBD"), (1.0, "#E08214"))
#: Counts in cells, few to many.
COUNTS: Final = ((0.0, "#EFF3FF"), (1.0, "#5BA3D0"))
#: A cell without a value.
EMPTY: Final = "#E6E6E6"
#: Figures in cells of the three: legible (4.5 to 1) on each of their colours, in both themes.
IN_CELLS: Final = "#111111"
#: Red, green, blue and the most opacity of a tint on which the text of either theme is legible.
_TINTS: Final = {True: "224,130,20", False: "165,108,193"}
_TINTED: Final = 0.58
CONTROL: Final = "#8C8C8C"
#: What the person added: selection, search matches, the own sentence.
OWN: Final = "#E6007A"
#: The model itself, and what it is held against; each control has a dash of its own as well.
MODEL: Final = "#2F6FDE"
CONTROL_COLOURS: Final = {
    "words": "#D55E00",
    "length": "#C0609A",
    "sentence": "#B05A32",
    "embedding": "#B07D00",
    "untrained": "#00916A",
}
CONTROL_DASHES: Final = {
    "words": "dash",
    "length": "dot",
    "sentence": "longdash",
    "embedding": "longdashdot",
    "untrained": "dashdot",
}
#: Band of shuffled labels.
CHANCE: Final = "rgba(140,140,140,0.35)"
#: Sides of a comparison, A to D: each has a colour, a dash and a shape of its own.
SIDE_COLOURS: Final = (MODEL, "#D55E00", "#00916A", "#8E5BD0")
SIDE_DASHES: Final = ("solid", "dash", "dot", "dashdot")
SIDE_SYMBOLS: Final = ("circle", "diamond", "square", "triangle-up")


def tint(share: float) -> str:
    """Return a CSS colour to lay beneath a word: orange above 0, purple below.

    Args:
        share: How strong, −1 to 1; what lies beyond is as strong as the ends.
    """
    return f"rgba({_TINTS[share > 0]},{_TINTED * min(abs(share), 1.0):.2f})"
