"""A workbench on which the tiny Llama can be evaluated."""

import pytest

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.dataset.sets import ItemSpec
from core.models.spec import ModelSpec
from core.workbench import Workbench
from tests.core.benches import done
from tests.core.evaluation.evaluations import table


@pytest.fixture
def bench(tiny_llama_folder, tmp_path):
    """Return a workbench, and a small set beside the tiny Llama."""
    work = Workbench.at(tmp_path / "cache")
    items = done(work.add_items(ItemSpec("file", table(tmp_path)))).result
    spec = ModelSpec("folder", str(tiny_llama_folder), device="cpu")
    return work, study_of(work, items, spec, ReadSpec())
