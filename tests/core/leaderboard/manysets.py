"""A small labelled table and a desk, for tests of sweeps and packs."""

import random

from core.cli.basic import Desk
from core.cli.progress_line import watch
from core.foundations import FOUNDATIONS
from core.workbench import Workbench

WORDS = ["help", "lie", "guests", "at", "the", "old", "bridge", "letters", "keep", "quietly"]
ROWS = 60


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
