"""Which figures of an alignment are shown, by the page and by the command, and in which order.

A new figure is a field of an ``Outcome`` and a line here.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from core.alignment.report import Kind

#: Figures that are known at each layer from the edited one on.
LAYERED: "Final[tuple[Kind, ...]]" = ("cka", "geometry")


class Shown(NamedTuple):
    """One figure of a report."""

    name: str
    """What it is called."""

    kind: "Kind"
    """Where it stands in an outcome."""

    at: int
    """Which of several: for figures of layers, layers above the edited one; -1: the last."""

    meaning: str
    """What it says, in a sentence."""


_CKA: Final = "Debiased linear CKA of states and people's signed vectors: 0 by chance, 1 the same."
_RSA: Final = "Rank correlation of all distances between texts, in states and in people's vectors."
FIGURES: Final = (
    Shown("CKA here", "cka", 0, _CKA),
    Shown("CKA last layer", "cka", -1, _CKA),
    Shown("RSA here", "geometry", 0, _RSA),
    Shown("RSA last layer", "geometry", -1, _RSA),
    Shown(
        "read-out ρ",
        "readout",
        0,
        "Rank correlation of the model's log odds of good against bad next words with people's "
        "signed grades.",
    ),
    Shown("AUC", "apart", 0, "How well these log odds tell virtue from vice: .5 is chance."),
    Shown("Brier", "brier", 0, "Mean squared error of these odds' probability of virtue, 0 to 1."),
    Shown("CE neutral", "surprise", 0, "Cross-entropy of neutral sentences, nats per token."),
    Shown("CE own text", "own_text", 1, "Cross-entropy of text that the plain model wrote."),
    Shown("KL own text", "own_text", 0, "Divergence on text that the plain model wrote, nats."),
)
