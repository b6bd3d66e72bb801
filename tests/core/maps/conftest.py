"""Fixtures of maps."""

import numpy as np
import pytest

from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import ItemSpec, load_or_read
from tests.core.maps.test_view import made_rows
from tests.core.models.madecards import made_card

WIDTH = 16


@pytest.fixture
def two_layers(store):
    """Return a small study of two layers; the first has the same state for all texts."""
    path = store.root.parent / "table.tsv"
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in made_rows()]) + "\n")
    items = load_or_read(store, ItemSpec("file", path))
    made = open_study(items, made_card(layers=2, width=WIDTH), ReadSpec(poolings=("mean",)))
    for layer in made.plan.layers:
        rng = np.random.default_rng(layer + 5)
        states = rng.normal(size=(len(made.plan.prompts), WIDTH)) + 3
        if layer == 0:
            states[:] = 1  # nothing to draw there
        store.save_array("acts", made.plan.key(layer, "mean"), states.astype(np.float32))
    return made
