"""One item looked at closely: its neighbours for people and for the model, its centres by layer."""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.prompts import Pooling
from core.activations.study import Study, has_picture, layer_states
from core.dataset.items import Items
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import layer_name
from core.measures.geometry import centres
from core.runtime.store import Store
from core.statistics.neighbours import normalised
from core.statistics.scaling import Scaling

#: Neighbours that are listed.
LISTED: Final = 10


class Neighbourhood(NamedTuple):
    """The texts nearest to an item in both spaces. Each text counts once, the item's own not."""

    people: NDArray[np.int64]
    """Rows nearest by moral vector; among equally near ones, those nearest to the model first."""

    model: NDArray[np.int64]
    """Rows nearest by the cosine of states, shape ``(k,)``."""

    distance: NDArray[np.float64]
    """Distance of moral vectors of ``people``."""

    cosine: NDArray[np.float64]
    """Cosine of states of ``model``."""

    shared: NDArray[np.int64]
    """Rows of ``model`` that are no farther for people than the last of ``people``."""

    chance: float
    """How many would be shared if the model's neighbours were drawn at random."""

    level: int
    """How many texts are no farther for people than the last of ``people``: labels tie."""


def neighbourhood(
    store: Store,
    study: Study,
    row: int,
    layer: int,
    pooling: Pooling,
    scaling: Scaling,
    k: int = LISTED,
) -> Neighbourhood:
    """Return the texts nearest to an item for people, and at a layer of the model.

    Raises:
        CoreError: The states are not stored, are not finite, or are the same for every text.
    """
    first = study.first_rows
    unit = normalised(layer_states(store, study, layer, pooling, scaling).states)
    cosine = (unit @ unit[study.plan.rows[row]]).astype(np.float64)
    group = study.labels.group
    others = np.flatnonzero(group[first] != group[row])
    rows, cosine = first[others], cosine[others]
    distance = _distances(study.items, row, rows)
    k = min(k, len(rows))
    model = np.argsort(-cosine, kind="stable")[:k]
    people = np.lexsort((-cosine, distance))[:k]
    near = distance <= distance[people[-1]] + 1e-9
    return Neighbourhood(
        rows[people],
        rows[model],
        distance[people],
        cosine[model],
        rows[model[near[model]]],
        float(k * near.mean()),
        int(near.sum()),
    )


def _distances(items: Items, row: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far the moral vectors of some items are from that of one, rounded to tie."""
    vectors = items.vectors().astype(np.float64)
    far: NDArray[np.float64] = np.linalg.norm(vectors[rows] - vectors[row], axis=1).round(9)
    return far


def centres_by_layer(
    store: Store, study: Study, row: int, pooling: Pooling, scaling: Scaling
) -> NDArray[np.float64]:
    """Return an item's cosine to the ten centres at every layer, its own text left out of them.

    Returns:
        Shape ``(n_layers + 1, 10)``, the embedding output first; NaN where a layer has no picture
        or a centre no other member.
    """
    members = study.members & (study.labels.group != study.labels.group[row])[:, None]
    found = np.full((len(study.plan.layers), len(DIMENSIONS)), np.nan)
    for place, layer in enumerate(study.plan.layers):
        if has_picture(store, study, layer, pooling):
            states = layer_states(store, study, layer, pooling, scaling).states
            middle = centres(states[study.plan.rows], members)
            own = normalised(states[study.plan.rows[row]][None])[0]
            found[place] = normalised(middle) @ own
    return found


def neighbour_table(items: Items, found: Neighbourhood) -> pd.DataFrame:
    """Return both lists as one table, the shared ones marked.

    Columns: near (people or model), action, foundation, pole, grade, how_near (distance of moral
    vectors, or cosine), shared.
    """
    rows = np.concatenate([found.people, found.model])
    return pd.DataFrame(
        {
            "near": ["people"] * len(found.people) + ["model"] * len(found.model),
            "shared": np.isin(rows, found.shared),
            "action": np.array(items.texts(), object)[rows],
            "foundation": np.array(FOUNDATIONS)[items.foundation[rows]],
            "pole": items.pole[rows],
            "grade": items.grade[rows],
            "how_near": np.concatenate([found.distance, found.cosine]).round(3),
        }
    )


def nearest_centre_table(cosine: NDArray[np.floating], layers: list[int]) -> pd.DataFrame:
    """Return the nearest centre at each layer that has a picture.

    Args:
        cosine: As ``centres_by_layer`` returns it.
        layers: The study's layers.

    Returns:
        Columns: layer, nearest_centre, cosine, and lead: how far ahead of the second one.
    """
    known = np.flatnonzero(np.isfinite(cosine).any(axis=1))
    some = np.nan_to_num(cosine[known], nan=-np.inf)
    ranked = np.sort(some, axis=1)[:, ::-1]
    return pd.DataFrame(
        {
            "layer": [layer_name(layers[one]) for one in known],
            "nearest_centre": np.array(DIMENSIONS)[some.argmax(axis=1)],
            "cosine": ranked[:, 0].round(3),
            "lead": (ranked[:, 0] - ranked[:, 1]).round(3),
        }
    )
