"""Round trip: a written text, read again by the plain model, where does it lie among the items?"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.extraction import check_model, read_texts
from core.activations.prompts import Pooling
from core.activations.study import Study, layer_states
from core.layers import EMBEDDING
from core.measures.geometry import centres, closeness
from core.runtime.store import Store
from core.statistics.neighbours import normalised
from core.statistics.scaling import Scaling

if TYPE_CHECKING:
    from core.models.open_models import OpenModel


#: Where a sentence ends: behind its mark and closing quotes, or with the line.
_END: Final = re.compile(r"""(?<=[.!?…。！？])["'”’»)\]]*\s+|(?<=[。！？])|\n+""")
#: Sentences of a text that are read apart at most.
MOST_SENTENCES: Final = 12


class Part(NamedTuple):
    """A written text, or one of its sentences."""

    steered: bool
    """Whether steering wrote it."""

    sample: int
    """Which pair of texts it is of, from 1."""

    sentence: int
    """Its number, from 1; 0 for the whole text."""

    text: str
    """The words."""


def parts_of(plain: Sequence[str], steered: Sequence[str]) -> list[Part]:
    """Return the whole texts and, of those with more than one, their first sentences.

    A pair of which one text has no word is left out.

    Args:
        plain: Texts without steering.
        steered: As many with it.
    """
    found = []
    for sample, both in enumerate(zip(plain, steered, strict=True), 1):
        if not all(map(_has_word, both)):
            continue
        for text, is_steered in zip(both, (False, True), strict=True):
            found.append(Part(is_steered, sample, 0, text))
            sentences = [one.strip() for one in _END.split(text) if _has_word(one)]
            if len(sentences) > 1:
                found += [
                    Part(is_steered, sample, number, one)
                    for number, one in enumerate(sentences[:MOST_SENTENCES], 1)
                ]
    return found


def _has_word(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


class Landed(NamedTuple):
    """Texts as the plain model reads them at one layer."""

    cosine: NDArray[np.float64]
    """To the ten centres, own text left out, ``(n_texts, 10)``; NaN where there is no member."""

    percentile: NDArray[np.float64]
    """Share of the items that are less close to that centre, ``(n_texts, 10)``, in [0, 1].

    No item stands in the centre it is compared with: members would be nearer than any new text.
    """

    states: NDArray[np.float32]
    """As read, ``(n_texts, d_model)``: ``view.place_on`` puts them on the map."""


def land(
    store: Store,
    study: Study,
    model: "OpenModel",
    texts: Sequence[str],
    layer: int,
    pooling: Pooling,
    scaling: Scaling,
) -> Landed:
    """Read texts as the items were read and compare them with the centres.

    Args:
        store: Where the items' states lie.
        study: The items.
        model: The open model, without steering.
        texts: Not empty.
        layer: Which layer.
        pooling: Which pooled state.
        scaling: How states are scaled.

    Raises:
        CoreError: The items were not read, the model has changed since, or a state is NaN or
            infinite.
    """
    check_model(model, study.plan)
    which = study.plan.spec.poolings.index(pooling)
    raw = read_texts(model, texts, study.plan.spec)[layer - EMBEDDING, which]
    known = layer_states(store, study, layer, pooling, scaling)
    rows = known.states[study.plan.rows]
    own = normalised(known.scaler.apply(raw))
    middle = [normalised(centres(rows, study.members_without(text))) for text in texts]
    cosine = np.stack([one @ state for one, state in zip(middle, own, strict=True)])
    items = closeness(rows, study.members, study.labels.group)
    with np.errstate(invalid="ignore"):  # a centre without members ranks nothing
        percentile = (items[None] < cosine[:, None]).sum(axis=1) / (~np.isnan(items)).sum(axis=0)
    percentile[np.isnan(cosine)] = np.nan
    return Landed(cosine, percentile, raw)
