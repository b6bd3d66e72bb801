"""A small labelled table and a desk, for tests of sweeps and packs."""

import random

from core.activations.jobs import reading, untrained
from core.activations.prompts import ReadSpec
from core.cli.desk import Desk, ReadRequest, study_of
from core.cli.progress_line import watch
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.jobs import diagnosis
from core.foundations import FOUNDATIONS
from core.models.spec import ModelSpec
from core.workbench import Workbench

WORDS = ["help", "lie", "guests", "at", "the", "old", "bridge", "letters", "keep", "quietly"]
ROWS = 60
FEW = DiagnosisSpec(draws=20, shuffles=20)


def write_actions(path, seed=0):
    """Write a table of actions with every foundation and judgement; return its path."""
    draw = random.Random(seed)
    lines = ["action,foundation,judgement,agreement"]
    for number in range(ROWS):
        text = " ".join(draw.sample(WORDS, 4)) + f" {number}"
        lines.append(f"{text},{FOUNDATIONS[number % 5]},{number % 5 - 2},{draw.randint(1, 4)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def desk_at(root):
    """Return a desk with a cache of its own."""
    return Desk(Workbench.at(root), watch)


def diagnosed(root, folder):
    """Return a desk where a model and its untrained copy were read and diagnosed, and both studies.

    Args:
        root: Where cache and table lie.
        folder: The model's.
    """
    desk = desk_at(root / "cache")
    actions = write_actions(root / "actions.csv")
    model = ModelSpec("folder", str(folder), device="cpu")
    study = study_of(desk, ReadRequest(model, str(actions), ReadSpec()))
    copy = untrained(desk.work, study)
    for one in (study, copy):
        desk.make(reading(desk.work, one))
        desk.make(diagnosis(desk.work, one, FEW))
    return desk, study, copy
