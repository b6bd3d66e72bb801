"""What a step of an alignment costs, and how the cost grows with tokens and trained latents.

Run as a script: ``python tests/benchmarks/bench_alignment.py``. Prints one JSON line for each part,
all in one run, so that a busy machine disturbs them alike: processor milliseconds per step of the
repaired recipe on 256 texts of states of 640 coordinates, with a TopK dictionary of 5,120 random
latents, k 32.

``tokens``: 4 to 32 tokens per text, 150 latents. ``latents``: 75 to 600 latents, 8 tokens per text.
``growth`` is the cost of the last doubling over that of the one before: 2 where cost is linear, 4
where it is quadratic.
"""
# ruff: noqa: T201

import json
import time

import cost  # noqa: F401 - puts the project on the path
import numpy as np
import torch

from core.alignment.data import AlignData, Neutral
from core.alignment.lessons import Repaired
from core.alignment.spec import AlignSpec
from core.alignment.splice import Splice
from core.sae.dictionary import Dictionary, DictionaryInfo
from core.sae.training.token_states import TokenStates

TEXTS, WIDTH, LATENTS, K, STEPS = 300, 640, 5_120, 32, 8


def dictionary() -> Dictionary:
    """Return a TopK dictionary of random unit directions."""
    drawn = torch.randn(LATENTS, WIDTH, generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.normalize(drawn, dim=1)
    info = DictionaryInfo("random", 0, "topk", K, centred=True)
    return Dictionary(info, rows.T.contiguous(), torch.zeros(LATENTS), rows, torch.zeros(WIDTH))


def made(tokens: int) -> AlignData:
    """Return texts of as many tokens each, all but a few of them for training."""
    rng = np.random.default_rng(0)
    foundation = rng.integers(0, 5, TEXTS)
    membership = np.zeros((TEXTS, 10))
    pole = 2 * foundation + rng.integers(0, 2, TEXTS)
    membership[np.arange(TEXTS), pole] = rng.choice([0.25, 0.5, 1.0], TEXTS)
    split = np.full(TEXTS, "train", dtype="<U10")
    split[-40:] = "validation"
    states = rng.standard_normal((TEXTS * tokens, WIDTH)).astype(np.float32)
    neutral = Neutral(
        rng.standard_normal((200, WIDTH)).astype(np.float32),
        rng.standard_normal((16, 200, WIDTH)).astype(np.float32),
        np.repeat(np.arange(20), 10),
    )
    return AlignData(
        TokenStates.of(states, np.repeat(np.arange(TEXTS), tokens)),
        np.arange(0, TEXTS * tokens + 1, tokens),
        membership,
        foundation,
        split,
        neutral,
    )


def step_ms(tokens: int, latents: int) -> float:
    """Return processor milliseconds of a step, the least of three rounds."""
    changed = Splice(dictionary(), np.arange(latents))
    lesson, rng = Repaired(changed, made(tokens), AlignSpec()), np.random.default_rng(0)
    rounds = []
    for _ in range(3):
        start = time.process_time()
        for _ in range(STEPS):
            lesson.draw(rng).backward()
        rounds.append((time.process_time() - start) / STEPS * 1e3)
    return min(rounds)


def told(name: str, sizes: list[int], costs: list[float]) -> None:
    """Print one part."""
    more = np.diff(costs)
    growth = round(float(more[-1] / more[-2]), 2)
    cells = dict(zip(map(str, sizes), (round(one, 1) for one in costs), strict=True))
    print(json.dumps({"part": name, "step_ms": cells, "growth": growth}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    per_text = [4, 8, 16, 32]
    told("tokens", per_text, [step_ms(one, 150) for one in per_text])
    trained = [75, 150, 300, 600]
    told("latents", trained, [step_ms(8, one) for one in trained])
