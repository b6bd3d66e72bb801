"""Receipt of an alignment: all that it depends on, what was found, and what repeats it."""

import shlex
from typing import Any

from core.activations.study import Study
from core.alignment.report import AlignReport
from core.alignment.spec import NEEDED, AlignSpec, Recipe
from core.diagnosis.receipt import as_json, pinned, reading_options
from core.runtime.store import Key


def align_receipt(
    report: AlignReport, key: Key, study: Study, spec: AlignSpec, recipe: Recipe, dictionary: str
) -> dict[str, Any]:
    """Return the receipt.

    It promises: the same command on the same machine with the same versions gives the same
    dictionaries, bit for bit, and the same figures.

    Args:
        report: What was found.
        key: The report's content key.
        study: Items and model.
        spec: How.
        recipe: What the verdict is about.
        dictionary: Name of the dictionary on the model's shelf.

    Returns:
        JSON values. ``command`` is None if the command line cannot say how the texts were read.
    """
    targets = tuple(key["targets"])
    return {
        "depends_on": dict(key),
        "command": command(study, spec, recipe, targets, dictionary),
        "test_texts": report.texts,
        "opened_before": report.opened,
        "verdicts": {f"{target:g}": report.told(target, recipe) for target in targets},
        "runs": [
            {"arm": run.arm, "seed": run.seed, "target": run.target, "dictionary": run.digest}
            for run in report.runs
        ],
    }


def receipt_json(
    report: AlignReport, key: Key, study: Study, spec: AlignSpec, recipe: Recipe, dictionary: str
) -> str:
    """Return the receipt as JSON text; arguments as for ``align_receipt``."""
    return as_json(align_receipt(report, key, study, spec, recipe, dictionary))


def command(
    study: Study, spec: AlignSpec, recipe: Recipe, targets: tuple[float, ...], dictionary: str
) -> str | None:
    """Return the command that repeats an alignment, None if none can."""
    options = reading_options(study)
    if options is None:
        return None
    words = ["python", "-m", "core", "align", pinned(study.card)]
    options |= {name: str(getattr(spec, name)) for name in ("latents", "steps", "seeds")}
    if spec.objective != "chosen":
        options["objective"] = spec.objective
    for name, value in {**options, "dictionary": dictionary, "recipe": recipe}.items():
        words += [f"--{name}", value]
    further = [arm for arm in spec.arms if arm not in (*NEEDED, recipe)]
    words += ["--arms", *further] if further else []
    return shlex.join([*words, "--kl", *(f"{target:g}" for target in targets)])
