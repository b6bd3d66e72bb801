"""What a latent is called, and why: three claims, each on top of the one before.

Related to a moral topic: on for texts of a pole rather than for all others. Moral: on for them
rather than for other texts of the same foundation, so that the topic alone does not do.
Monosemantic: moral for one dimension, selected for no second, and it tells the pole from its
opposite. What speaks for a claim must be shown on training texts and once more on held-out ones;
what speaks against it counts as soon as training texts show it, so fewer held-out texts do not make
more latents of any claim.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.features.comparisons import Statistic
from core.foundations import FOUNDATIONS

#: Statistics that decide what a latent is; a gradient is reported beside them.
DECIDING: Final[tuple[Statistic, ...]] = ("membership", "within", "contrast")
#: Claims that stand on their own: related and moral. A contrast only narrows the latter.
CLAIMS: Final = 2

Kind = Literal["monosemantic", "moral", "topic", "unconfirmed", "unrelated", "too rare"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: Which latents a table shows.
Shown = Literal["moral", "related", "selected", "all"]
SHOWN: Final[tuple[Shown, ...]] = get_args(Shown)
#: Names of the two claims that are counted over all kinds.
RELATED: Final = "related to a moral topic"
MORAL: Final = "moral within their foundation"
#: The one definition of every kind.
DEFINITION: Final = (
    "A latent is related to a moral topic if it is on for texts of a pole rather than for all "
    "others, and moral if also rather than for other texts of the same foundation; else it is "
    "called topic. It is monosemantic if it is moral, no second dimension is selected even on "
    "training texts, and it tells its pole from the opposite one. Each of these is shown at the "
    "false discovery rate on training texts and confirmed on held-out ones, among texts of like "
    "length. Selected for some dimension but confirmed for none it is unconfirmed, selected for "
    "none unrelated, and on in too few texts too rare to judge."
)


@dataclass(frozen=True, eq=False)
class Decided:
    """What was shown of each latent."""

    judged: NDArray[np.bool_]
    """On often enough, ``(n_latents,)``."""

    selected: NDArray[np.bool_]
    """Membership passes the false discovery rate on training texts, ``(n_latents, 10)``."""

    related: NDArray[np.bool_]
    """Of these, confirmed on held-out texts."""

    moral: NDArray[np.bool_]
    """Of these, above other texts of the foundation on training texts and on held-out ones."""

    opposed: NDArray[np.bool_]
    """Of these, above the opposite pole on training texts and on held-out ones."""

    @classmethod
    def of(
        cls,
        judged: NDArray[np.bool_],
        passes: Mapping[Statistic, NDArray[np.bool_]],
        above: Mapping[Statistic, NDArray[np.bool_]],
    ) -> "Decided":
        """Put claims on top of each other.

        Args:
            judged: Latents that are on often enough, ``(n_latents,)``.
            passes: What passes the false discovery rate where latents are selected, of each
                statistic that decides ``(n_latents, 10)``.
            above: What lies above chance where they are reported, the same.
        """
        both = {name: passes[name] & above[name] for name in DECIDING}
        related = both["membership"]
        moral = related & both["within"]
        return cls(judged, passes["membership"], related, moral, moral & both["contrast"])

    @cached_property
    def kind(self) -> NDArray[np.str_]:
        """One of ``KINDS`` for each latent, by ``DEFINITION``, ``(n_latents,)``."""
        single = self.selected.sum(axis=1) == 1
        conditions: dict[Kind, NDArray[np.bool_]] = {
            "too rare": ~self.judged,
            "monosemantic": single & (self.opposed.sum(axis=1) > 0),
            "moral": self.moral.sum(axis=1) > 0,
            "topic": self.related.sum(axis=1) > 0,
            "unconfirmed": self.selected.sum(axis=1) > 0,
        }
        return np.select(list(conditions.values()), list(conditions), "unrelated")

    @cached_property
    def collapsed(self) -> NDArray[np.bool_]:
        """Polarity collapse: a topic latent related to both poles of a foundation, and to no other.

        Shape ``(n_latents,)``.
        """
        poles = self.related.reshape(-1, len(FOUNDATIONS), 2).sum(axis=2)
        both = (poles.max(axis=1) == 2) & (poles.sum(axis=1) == 2)
        collapsed: NDArray[np.bool_] = both & (self.kind == "topic")
        return collapsed

    @cached_property
    def several(self) -> NDArray[np.bool_]:
        """Polysemantic: related to more than one foundation, ``(n_latents,)``."""
        touched = self.related.reshape(-1, len(FOUNDATIONS), 2).sum(axis=2) > 0
        more: NDArray[np.bool_] = touched.sum(axis=1) > 1
        return more

    def counts(self) -> dict[str, int]:
        """Return how many latents are selected, related, moral, and of each kind."""
        found = {
            "selected": int(self.selected.any(axis=1).sum()),
            RELATED: int(self.related.any(axis=1).sum()),
            MORAL: int(self.moral.any(axis=1).sum()),
        }
        found |= {kind: int((self.kind == kind).sum()) for kind in KINDS}
        found["polarity collapse"] = int(self.collapsed.sum())
        found["polysemantic"] = int(self.several.sum())
        return found
