"""What steered writing costs beside plain ``generate``, and how long a person waits.

Run as a script: ``python tests/benchmarks/bench_steering.py [TOKENS] [ROUNDS]``, with the packaged
Gemma. ``generate`` is transformers' own, sampling with the same batch of 4 rows (2 samples, plain
and steered), cache and decoding, nothing edited; ``ours`` is ``write``: it edits layer 12, draws,
decodes and hands the texts over after each token. Its drawing is quicker, since top-k comes before
the sort, so ``greedy_ratio`` compares both without any drawing. All take turns, so that a busy
machine disturbs them alike; times are medians of the rounds. ``first_token`` is from the call to
the first texts, ``read_out`` one prompt plain and steered, ``slider`` the steered logits alone, as
the page asks for them. Prints one JSON line. Targets: ratios >= 0.90; 0.4 s for the first token and
for the slider.
"""
# ruff: noqa: T201

import json
import statistics
import sys
from collections.abc import Callable

import cost
import torch

from core.activations.decoding import Decoding
from core.models.open_models import ModelSpec, OpenModel, describe, open_model
from core.runtime.store import Store, default_root
from core.steering.effects.readout import hold, read_out, steered_logits
from core.steering.generation import prompt_ids, write

TOKENS = 40
ROUNDS = 5
LAYER = 12
PROMPT = "Lying to a friend is morally"


def measure(model: OpenModel, tokens: int, rounds: int) -> dict[str, object]:
    """Time all, taking turns."""
    drawn, edits = Decoding(tokens=tokens), [cost.small_edit(model, LAYER, 0.05)]
    greedy = Decoding(tokens=tokens, temperature=0.0)
    ids = torch.tensor([prompt_ids(model, PROMPT, chat=False)] * (2 * drawn.samples))

    def generate(**how: object) -> None:
        with model.lock, torch.no_grad():
            model.module.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                min_new_tokens=tokens,  # a text that ends early would look fast
                max_new_tokens=tokens,
                pad_token_id=model.tokenizer.pad_token_id,
                **how,
            )

    def ours(decoding: Decoding) -> None:
        steps = sum(1 for _ in write(model, PROMPT, edits, "not first", decoding))
        if steps < tokens:
            raise SystemExit("All texts ended early: choose another prompt.")

    sampling = {
        "do_sample": True,
        "temperature": drawn.temperature,
        "top_k": drawn.top_k,
        "top_p": drawn.top_p,
    }
    held = hold(model, [PROMPT], edits[0].layer)
    work: dict[str, Callable[[], object]] = {
        "generate": lambda: generate(**sampling),
        "ours": lambda: ours(drawn),
        "generate_greedy": lambda: generate(do_sample=False),
        "ours_greedy": lambda: ours(greedy),
        "first_token": lambda: next(write(model, PROMPT, edits, "not first", drawn)),
        "read_out": lambda: read_out(model, [PROMPT], edits, "not first"),
        "slider": lambda: steered_logits(model, held, edits, "not first"),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):  # the first one warms up
        for name in list(work) if turn % 2 else list(work)[::-1]:
            times[name].append(cost.seconds(work[name]))
    took = {name: statistics.median(all_of[1:]) for name, all_of in times.items()}
    written = len(ids) * tokens
    return {
        "benchmark": "steered writing against plain generate",
        "ratio": round(took["generate"] / took["ours"], 3),
        "greedy_ratio": round(took["generate_greedy"] / took["ours_greedy"], 3),
        "target": 0.90,
        "ours_tokens_per_second": round(written / took["ours"], 1),
        "generate_tokens_per_second": round(written / took["generate"], 1),
        "first_token_s": round(took["first_token"], 3),
        "read_out_s": round(took["read_out"], 3),
        "slider_s": round(took["slider"], 3),
        "rows": len(ids),
        "tokens": tokens,
        "rounds": rounds,
        "device": f"{model.card.device} {model.card.dtype}",
        "threads": torch.get_num_threads(),
        "load": cost.load(),
    }


def main() -> None:
    """Measure and print."""
    given = [int(text) for text in sys.argv[1:3]]
    tokens, rounds = given + [TOKENS, ROUNDS][len(given) :]
    store = Store(default_root())
    model = open_model(describe(ModelSpec(), store), store)
    print(json.dumps(measure(model, tokens, rounds)))


if __name__ == "__main__":
    main()
