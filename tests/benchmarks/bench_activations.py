"""What reading costs beside the bare decoder: prompts per second of both, on the same batches.

Run as a script: ``python tests/benchmarks/bench_activations.py [PROMPTS] [ROUNDS]``. It reads the
built-in actions with the packaged Gemma. ``bare`` is the decoder alone on tensors made before, no
vocabulary head, nothing pooled or kept; ``ours`` pads, traces every layer, pools mean and last, and
hands numpy arrays back. Both take turns on each batch, so that a busy machine disturbs both alike;
a batch's time is the median of its rounds. Prints one JSON line; the target is a ratio >= 0.90.
"""
# ruff: noqa: T201

import json
import statistics
import sys
import time
from collections.abc import Callable

import cost
import torch

from core.activations.extraction import TOKEN_BUDGET, read_prompts
from core.activations.prompts import ReadSpec, batches, collate, encode
from core.dataset.sets import ItemSpec, load_or_read
from core.models.open_models import ModelSpec, OpenModel, describe, open_model
from core.runtime.store import Store, default_root

PROMPTS = 512
ROUNDS = 5


def seconds(work: Callable[[], object], device: str) -> float:
    """Return how long some work takes, the device's queue included."""
    begin = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def measure(model: OpenModel, texts: list[str], rounds: int) -> dict[str, object]:
    """Time both on every batch, taking turns."""
    spec = ReadSpec()
    encoded = encode(model, [spec.prompt(text) for text in texts], spec.max_tokens)
    cut = list(batches([len(ids) for ids in encoded], TOKEN_BUDGET[model.card.device]))
    decoder, pad = model.module.get_decoder(), model.tokenizer.pad_token_id or 0
    totals = {"bare": 0.0, "ours": 0.0}
    for rows in cut:
        tokens = [encoded[row] for row in rows]
        batch = {name: t.to(model.module.device) for name, t in collate(tokens, pad).items()}

        def bare(batch: dict[str, torch.Tensor] = batch) -> object:
            with model.lock, torch.no_grad():
                return decoder(**batch)

        def ours(tokens: list[list[int]] = tokens) -> object:
            return read_prompts(model, tokens, spec.poolings)

        pair = {"bare": bare, "ours": ours}
        times: dict[str, list[float]] = {"bare": [], "ours": []}
        for turn in range(rounds + 1):  # the first one warms up
            for name in list(pair) if turn % 2 else list(pair)[::-1]:
                times[name].append(seconds(pair[name], model.card.device))
        for name, taken in times.items():
            totals[name] += statistics.median(taken[1:])
    return {
        "benchmark": "reading against the bare decoder",
        "ratio": round(totals["bare"] / totals["ours"], 3),
        "target": 0.90,
        "bare_per_second": round(len(texts) / totals["bare"], 1),
        "ours_per_second": round(len(texts) / totals["ours"], 1),
        "prompts": len(texts),
        "batches": len(cut),
        "tokens": sum(map(len, encoded)),
        "rounds": rounds,
        "device": f"{model.card.device} {model.card.dtype}",
        "threads": torch.get_num_threads(),
        "load": cost.load(),
    }


def main() -> None:
    """Measure and print."""
    given = [int(text) for text in sys.argv[1:3]]
    prompts, rounds = given + [PROMPTS, ROUNDS][len(given) :]
    store = Store(default_root())
    model = open_model(describe(ModelSpec(), store), store)
    items = load_or_read(store, ItemSpec())
    texts = list(dict.fromkeys(items.texts()))[:prompts]
    print(json.dumps(measure(model, texts, rounds)))


if __name__ == "__main__":
    main()
