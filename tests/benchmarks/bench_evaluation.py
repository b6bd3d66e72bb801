"""What answering for an evaluation costs beside plain batched ``generate``, and what judging does.

Run as a script: ``python tests/benchmarks/bench_evaluation.py [TOKENS] [ROUNDS]``, with the
packaged Gemma. ``generate`` is transformers' own with the same 24 questions, left-padded, greedy,
nothing edited; ``ours`` is ``answers`` with and without a push at layer 9. All take turns; times
are medians of the rounds. ``judging`` holds the three questions of a pair, its answers read once,
against three readings of the whole. Prints one JSON line. Targets: ratios of answering >= 0.90.
"""
# ruff: noqa: T201

import json
import statistics
import sys
import tempfile
from pathlib import Path

import cost

from core.activations.decoding import Decoding
from core.activations.prompts import collate
from core.evaluation.answers import BATCH, Arm, answers, framed
from core.evaluation.judging import QUESTIONS, LocalJudge, both_orders
from core.evaluation.prompts import builtin_prompts
from core.models.open_models import ModelSpec, OpenModel, describe, open_model
from core.models.opened import text_ids
from core.runtime.progress import silent
from core.runtime.store import Store, default_root
from core.steering.edits import LayerEdit

LAYER = 9


def measure(model: OpenModel, tokens: int, rounds: int) -> dict[str, object]:
    """Time all, taking turns."""
    prompts = builtin_prompts().texts[:BATCH]
    greedy = Decoding(tokens=tokens, temperature=0)
    ids = text_ids(model, [framed(model, one, "") for one in prompts])
    batch = collate(ids, model.tokenizer.pad_token_id or 0, "left")

    def ours(edits: list[LayerEdit]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            answers(Store(Path(folder)), model, Arm("bench"), edits, prompts, greedy)

    def theirs() -> None:
        model.module.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
        )

    judge = LocalJudge(model.card, lambda: model)
    pairs = [(one, text) for text in prompts[:6] for one in QUESTIONS if one != "paper"]
    shown = [both_orders(one, text, text * 3, text * 2)[0] for one, text in pairs]

    def once() -> None:
        list(judge.labels(shown, silent))

    def thrice() -> None:
        for one in QUESTIONS:
            list(judge.labels([s for s in shown if s.question == one], silent))

    works = {
        "generate": theirs,
        "plain": lambda: ours([]),
        "steered": lambda: ours([cost.small_edit(model, LAYER, 0.02)]),
        "judged at once": once,
        "judged one by one": thrice,
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            times[name].append(cost.seconds(work))
    middle = {name: statistics.median(several[1:]) for name, several in times.items()}
    return {
        "benchmark": "evaluation",
        "tokens": tokens,
        "prompts": len(prompts),
        "ratio_plain": round(middle["generate"] / middle["plain"], 3),
        "ratio_steered": round(middle["generate"] / middle["steered"], 3),
        "ratio_judging": round(middle["judged one by one"] / middle["judged at once"], 2),
        "tokens_per_second": round(tokens * len(prompts) / middle["plain"], 1),
        "seconds": {name: round(one, 2) for name, one in middle.items()},
    }


def main() -> None:
    """Measure and print."""
    tokens, rounds = (int(one) for one in [*sys.argv[1:], *("30", "3")[len(sys.argv) - 1 :]])
    store = Store(default_root())
    model = open_model(describe(ModelSpec(), store), store)
    print(json.dumps(measure(model, tokens, rounds)), flush=True)


if __name__ == "__main__":
    main()
