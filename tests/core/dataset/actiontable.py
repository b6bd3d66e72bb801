"""A small table of made actions with every foundation and judgement, split by text."""

import random

from core.foundations import FOUNDATIONS

WORDS = ("help", "lie", "guests", "at", "the", "old", "bridge", "letters", "keep", "quietly")


def write_actions(path, rows):
    """Write a table of different actions and return its path."""
    draw = random.Random(0)
    lines = ["action,foundation,judgement,agreement"]
    for number in range(rows):
        text = " ".join(draw.sample(WORDS, 4)) + f" {number}"
        lines.append(f"{text},{FOUNDATIONS[number % 5]},{number % 5 - 2},{draw.randint(1, 4)}")
    path.write_text("\n".join(lines) + "\n")
    return path
