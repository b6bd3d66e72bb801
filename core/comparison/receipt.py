"""Receipt of a comparison: the receipts of its sides, how they were compared, the differences."""

import shlex
from dataclasses import asdict
from typing import Any, Final

from core.activations.study import Study
from core.comparison import view
from core.comparison.jobs import CompareSpec, Found
from core.comparison.sides import LETTERS, Side
from core.diagnosis.receipt import as_json, pinned, reading_options, receipt
from core.runtime.store import fingerprint

#: What stands before the one word of a recipe, where a model is named.
RECIPE: Final = "recipe:"


def compare_receipt(found: Found, spec: CompareSpec) -> dict[str, Any]:
    """Return all that a comparison depends on, and a fingerprint of its figures.

    It promises what the receipts of its sides promise. Figures of maps are not in it.

    Args:
        found: The comparison.
        spec: How it was made.

    Returns:
        JSON values. A pair's ``command`` is None if the command line cannot say how it was read.
    """
    diagnoses = dict(zip(LETTERS, found.diagnoses, strict=False))
    return {
        "sides": {
            letter: {"layer": side.layer, "pooling": side.pooling}
            | ({"diagnosis": receipt(diagnoses[letter])} if letter in diagnoses else {})
            for letter, side in zip(LETTERS, found.sides, strict=False)
        },
        "compared": asdict(spec),
        "pairs": [
            {
                "pair": f"{LETTERS[place + 1]} - A",
                "texts": made.n_texts,
                "items": made.n_items,
                "command": command(found.sides[0], found.sides[place + 1], spec),
                "figures": _figures(found, place),
            }
            for place, made in enumerate(found.comparisons)
        ],
    }


def receipt_json(found: Found, spec: CompareSpec) -> str:
    """Return the receipt as JSON text; equal receipts are equal texts."""
    return as_json(compare_receipt(found, spec))


def command(first: Side, second: Side, spec: CompareSpec) -> str | None:
    """Return the command that compares two sides again, None if none can.

    A set other than the built-in one must be in the cache: it is named by its digest.
    """
    options = reading_options(first.study)
    same = first.study.items.digest == second.study.items.digest
    if options is None or not same or first.study.plan.spec != second.study.plan.spec:
        return None
    options |= {
        "layer": str(first.layer),
        "other-layer": str(second.layer),
        "pooling": first.pooling,
        "other-pooling": second.pooling,
        "scaling": spec.scaling,
        "tests": spec.tests,
    }
    words = ["python", "-m", "core", "compare", pinned(first.study.card), _named(second.study)]
    for name, value in options.items():
        words += [f"--{name}", value]
    return shlex.join(words)


def _named(study: Study) -> str:
    if study.plan.steered is not None:
        return f"{RECIPE}{study.plan.steered.word}"
    return pinned(study.card)


def _figures(found: Found, place: int) -> str:
    """Return the SHA-256 of every difference and similarity of a pair, all digits of each."""
    made = found.comparisons[place]
    tests = [several[place] for several in (found.best, found.shown) if several]
    rows = [view.difference_table([("", one)]).map(repr).to_numpy().tolist() for one in tests]
    alike = [repr(one) for one in (*made.cka, *made.overlap[1:])]
    return fingerprint([rows, alike, made.items.value.tobytes().hex()])
