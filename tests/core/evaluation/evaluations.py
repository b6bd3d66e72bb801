"""What tests of whole evaluations share: few prompts, few tokens, a judge that flips a coin."""

import numpy as np

from core.activations.decoding import Decoding
from core.evaluation.prompts import builtin_prompts
from tests.core.steering.steeringsets import balanced_rows

FEW = builtin_prompts().take(np.arange(0, 120, 20))
SHORT = Decoding(tokens=4)


def table(folder):
    """Write a table of actions; return its path."""
    path = folder / "t.tsv"
    rows = ["\t".join(map(str, row)) for row in balanced_rows()]
    path.write_text("\n".join(["action\tfoundation\tjudgement\tagreement", *rows]) + "\n")
    return path


def coin(showing):
    return "first" if int(showing.digest, 16) % 2 else "second"
