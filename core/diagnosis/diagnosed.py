"""A diagnosis beside its untrained copy's, with what both come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.receipt import receipt
from core.diagnosis.seeds import Copy
from core.diagnosis.templates import Phrasing
from core.diagnosis.verdicts import Score, Verdict, layer_verdict, scorecard
from core.diagnosis.waterfall import Step
from core.measures.ceiling import Ceiling, ceiling, graders_of
from core.measures.cohort import cohort_of
from core.measures.result import Test

#: What a test says that no layer can compute.
NOWHERE: Final = "not computable at any layer"
#: Test -> its steps from the paper's figure to the repaired one.
Waterfall = Mapping[Test, Sequence[Step]]


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """A model's diagnosis beside its untrained copy's, ready to be written down."""

    diagnosis: Diagnosis
    """The model's."""

    untrained: Diagnosis | None
    """Its untrained copy's; None if it was not measured, or the model is one itself."""

    seeds: Sequence[Copy] = ()
    """Several untrained copies at the chosen layers; none where only one was measured."""

    phrasings: Sequence[Phrasing] = ()
    """The headlines under several templates; none where only one was read."""

    @cached_property
    def scores(self) -> list[Score]:
        """The scorecard."""
        return scorecard(self.diagnosis, self.untrained, self.seeds)

    @cached_property
    def receipt(self) -> dict[str, Any]:
        """All that the figures depend on."""
        return receipt(self.diagnosis, self.untrained)

    @cached_property
    def ceiling(self) -> Ceiling:
        """What people themselves reach; the same for every model."""
        items = self.diagnosis.study.items
        return ceiling(cohort_of(items), graders_of(items))

    @property
    def problems(self) -> dict[int, str]:
        """Layer -> why it could not be measured."""
        layers = self.diagnosis.layers
        return {layer: one.problem for layer, one in layers.items() if one.problem}

    def verdict(self, test: Test, layer: int) -> Verdict:
        """Return how a test stands at one layer."""
        return layer_verdict(self.diagnosis, test, layer, self.untrained)
