"""What judging all latents of a dictionary costs, and how the cost grows.

Run as a script: ``python tests/benchmarks/bench_features.py [target|growth|chance|all]``. Prints
one JSON line for each part.

``target``: 3,000 texts of states of 640 coordinates, TopK dictionary of 5,120 random directions,
k 32, eight tokens per text, pooled by maximum; 60 latents follow a dimension. Encoding and judging
with 1,000 permutations and 1,000 resamples, the shuffled copy included: wall and processor seconds
and how much the process grew. The target is 30 s on 2 idle cores.

``growth``: processor seconds per 1,000 latents for 1,280 to 10,240 latents and per 1,000
permutations for 500 to 4,000, all in one run, so that a busy machine disturbs them alike; growth
is the largest over the smallest, 1 if linear. Peaks of memory after 1,000 and 4,000 permutations,
the same if memory does not grow with them, and after the largest dictionary.

``chance``: share of 200 small runs with shuffled labels in which any latent passes; recall and
precision of 20 planted latents among 300 over ten runs.
"""

import sys
import time
from typing import Any

import cost
import numpy as np
import torch
from scipy.sparse import csr_array, random_array

from core.features.comparisons import Split, TextLabels
from core.features.feature_activations import FeatureActivations
from core.features.kinds import RELATED
from core.features.scores import RankSpec, counts, score_latents
from core.sae.dictionary import Dictionary, DictionaryInfo, sparse_codes
from tests.core.features.latentsets import PURE, made_set, planted, random_codes

TEXTS, TOKENS, WIDTH, LATENTS, K, FOLLOW = 3_000, 8, 640, 5_120, 32, 60


def made(n_latents: int) -> tuple[Dictionary, np.ndarray, TextLabels, Split]:
    """Return a random TopK dictionary, tokens' states, labels and split."""
    rng = np.random.default_rng(0)
    labels, split = made_set(TEXTS, rng)
    directions = rng.standard_normal((n_latents, WIDTH)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    states = rng.standard_normal((TEXTS * TOKENS, WIDTH)).astype(np.float32)
    for latent in range(FOLLOW):
        grade = labels.membership[:, latent % 10]
        on = rng.random(TEXTS) < np.where(grade > 0, 0.35 + 0.5 * grade, 0.02)
        token = np.arange(TEXTS) * TOKENS + rng.integers(0, TOKENS, TEXTS)
        states[token[on]] += 8 * directions[latent]
    decoder = torch.from_numpy(directions)
    info = DictionaryInfo("random", 0, "topk", K)
    nothing = torch.zeros(n_latents), torch.zeros(WIDTH)
    encoder = decoder.T.contiguous()
    return Dictionary(info, encoder, nothing[0], decoder, nothing[1]), states, labels, split


def pooled(dictionary: Dictionary, states: np.ndarray) -> csr_array:
    """Encode and pool."""
    codes = sparse_codes(dictionary, states).tocsc()
    prompt = np.repeat(np.arange(TEXTS), TOKENS)
    return FeatureActivations(codes, prompt, np.zeros(len(prompt), np.int64), {}, TEXTS).pooled(
        "max"
    )


def lengths(n: int) -> np.ndarray:
    """Return token counts such as those of everyday actions."""
    return np.random.default_rng(5).poisson(8, n) + 4


def target() -> dict[str, Any]:
    """Time the stated target."""
    dictionary, states, labels, split = made(LATENTS)
    before = cost.peak_mb()
    begin, cpu = time.perf_counter(), time.process_time()
    codes = pooled(dictionary, states)
    encoded = time.perf_counter() - begin
    scores = score_latents(codes, labels, lengths(TEXTS), split, RankSpec())
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    found, chance = counts(scores), scores.shuffled
    return {
        "benchmark": f"{TEXTS} texts, {LATENTS} latents, 1,000 permutations",
        "seconds": round(wall, 1),
        "target": 30,
        "processor_seconds": round(cpu, 1),
        "encoding_and_pooling_seconds": round(encoded, 1),
        "mb_before": before,
        "peak_mb": cost.peak_mb(),
        "density": round(codes.nnz / np.prod(codes.shape), 3),
        "planted": FOLLOW,
        "monosemantic": [found["monosemantic"], chance["monosemantic"]],
        "selected": [found["selected"], chance["selected"]],
        "paper_strict": [found["paper strict"], chance["paper strict"]],
    }


def seconds(n_latents: int, permutations: int) -> float:
    """Return the processor seconds of judging random latents."""
    rng = np.random.default_rng(1)
    labels, split = made_set(TEXTS, rng)
    codes = csr_array(random_array((TEXTS, n_latents), density=0.06, dtype=np.float32, rng=rng))
    cpu = time.process_time()
    spec = RankSpec(permutations=permutations, draws=10)
    score_latents(codes, labels, lengths(TEXTS), split, spec)
    return time.process_time() - cpu


def growth() -> dict[str, Any]:
    """Return how cost and memory grow."""
    seconds(640, 500)  # warms up
    by_permutations, peaks = {}, {}
    for n in (500, 1_000, 4_000):
        by_permutations[n] = seconds(2_560, n)
        peaks[n] = cost.peak_mb()
    by_latents = {n: seconds(n, 1_000) for n in (1_280, 2_560, 5_120, 10_240)}
    per = [round(cpu / n * 1000, 3) for n, cpu in by_latents.items()]
    return {
        "benchmark": "growth, processor seconds per 1,000 latents",
        "latents": list(by_latents),
        "seconds_per_1000_latents": per,
        "growth_with_latents": round(per[-1] / per[0], 2),
        "seconds_by_permutations": {n: round(one, 2) for n, one in by_permutations.items()},
        "peak_mb_by_permutations": peaks,
        "peak_mb_at_10240_latents": cost.peak_mb(),
    }


def chance() -> dict[str, Any]:
    """Return what shuffled labels find, and what is found of planted latents."""
    rng, passed, related = np.random.default_rng(11), [], []
    for seed in range(100):
        labels, split = made_set(400, rng)
        codes = csr_array(random_codes(400, 300, rng, 0.03, 0.3))
        scores = score_latents(codes, labels, lengths(400), split, RankSpec(seed=seed, draws=50))
        passed += [bool(scores.decided.selected.any()), scores.shuffled["selected"] > 0]
        related += [bool(scores.decided.related.any()), scores.shuffled[RELATED] > 0]
    recall, precision = [], []
    for seed in range(10):
        scores = score_latents(*planted(seed), RankSpec(seed=seed))
        called = scores.decided.kind == "monosemantic"
        right = called[:PURE] & (scores.best[:PURE] == np.arange(PURE) % 10)
        recall.append(right.mean())
        precision.append(right.sum() / called.sum())
    return {
        "benchmark": "chance and planted latents",
        "runs_with_shuffled_labels": len(passed),
        "share_with_any_selected": float(np.mean(passed)),
        "share_with_any_related": float(np.mean(related)),
        "planted_recall": round(float(np.mean(recall)), 3),
        "planted_precision": round(float(np.mean(precision)), 3),
    }


def main() -> None:
    """Measure and print."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "all"
    cost.tell_parts({"target": target, "growth": growth, "chance": chance}, asked)


if __name__ == "__main__":
    main()
