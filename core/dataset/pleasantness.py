"""A concept that is graded but not moral: how pleasant plain things and events are.

A model may tell virtue from vice because it tells good words from bad ones. So the same tests are
run on texts without persons who do right or wrong: five plain domains stand in the places of the
five foundations, pleasant in that of virtue, unpleasant in that of vice.
"""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from core.dataset.items import Counts, Items, Provenance, item_table
from core.foundations import DIMENSIONS, POLES
from core.runtime.store import file_sha256

FILE: Final = Path(__file__).resolve().parents[1] / "data" / "pleasantness.tsv"
#: The domain that stands in the place of each foundation, in the order of ``FOUNDATIONS``.
DOMAINS: Final = ("weather", "food", "objects", "events", "places")
#: What stands in the place of virtue, vice and neutral.
_POLES: Final = dict(zip(("pleasant", "unpleasant", "neutral"), POLES, strict=True))
NOTE: Final = "Authored for this project, not human-annotated."
#: Seed of the split by text, as ``ItemSpec`` has it.
_SPLIT_SEED: Final = 42


@cache
def pleasantness() -> Items:
    """Return the 240 texts: 100 pleasant, 100 unpleasant, 40 neutral; grades .25, .5, .75, 1."""
    import pyarrow as pa

    _, *rows = (line.split("\t") for line in FILE.read_text("utf-8").splitlines())
    texts, domains, poles, grades = map(list, zip(*rows, strict=True))
    foundation = np.array([DOMAINS.index(domain) for domain in domains], np.int8)
    pole, grade = [_POLES[name] for name in poles], np.array(grades, np.float32)
    vectors = np.zeros((len(rows), len(DIMENSIONS)), np.float32)
    vectors[np.arange(len(rows)), 2 * foundation + np.equal(pole, "vice")] = grade
    missing = pa.nulls(len(rows), pa.float32())
    flat = pa.table(
        {
            "annotation": [f"pleasantness-{number}" for number in range(len(rows))],
            "text": texts,
            "foundation": foundation,
            "pole": pole,
            "grade": grade,
            "judgement": missing,
            "agreement": missing,
            "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), len(DIMENSIONS)),
        }
    )
    provenance = Provenance(
        name="Pleasantness of plain things (authored for this project)",
        kind="builtin",
        licence="as the project",
        citation="",
        authored=True,
        note=NOTE,
        sha256=file_sha256(FILE),
        counts=Counts(len(rows), len(rows), len(rows), len(rows)),
    )
    return Items.of(item_table(flat, _SPLIT_SEED), provenance)
