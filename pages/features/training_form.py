"""The form of a training: which layer, how many latents, by which rule, on which tokens."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import streamlit as st

from core.activations.study import Study
from core.sae.training.corpora import CorpusSpec
from core.sae.training.jobs import plan_of
from core.sae.training.spec import TrainActivation, TrainSpec, paper_spec
from core.sae.training.trained import TrainPlan

_RULES: Final[dict[str, str]] = {
    "topk": "So many on per token (TopK)",
    "batchtopk": "So many on average (BatchTopK)",
    "relu": "As many as pay off (ReLU with adaptive L1, the paper)",
}


def ask(study: Study) -> Callable[[], TrainPlan]:
    """Draw the form's widgets and return what makes its plan; that may raise a ``CoreError``."""
    row = st.columns(4, vertical_alignment="bottom")
    layer = row[0].number_input(
        "Layer", 0, study.card.n_layers - 1, study.anchor, key="train-layer"
    )
    wider = row[1].selectbox(
        "Latents", (2, 4, 8, 16), 2, _wider(study.card.d_model), key="train-width"
    )
    rule = row[2].selectbox("Rule", _RULES, format_func=_RULES.__getitem__, key="train-rule")
    k = row[3].number_input("On per token", 1, 512, TrainSpec.k, key="train-k")
    tokens, written, epochs, seed = _tokens()
    file = st.text_input(
        "Text file besides, on this machine",
        key="train-file",
        max_chars=400,
        placeholder="none",
        help="Path of a UTF-8 text file, up to 50 MB; its last tenth judges.",
    ).strip()
    chosen: dict[str, Any] = {
        "width": wider * study.card.d_model,
        "activation": cast("TrainActivation", rule),
        "k": k,
        "epochs": epochs,
        "seed": seed,
    }

    def plan() -> TrainPlan:
        base = paper_spec(study.card.d_model, epochs=epochs) if rule == "relu" else TrainSpec()
        corpus = CorpusSpec(tokens, written, Path(file) if file else None, seed=seed)
        return plan_of(study, corpus, replace(base, **chosen), layer)

    return plan


def _tokens() -> tuple[int, int, int, int]:
    row = st.columns(4, vertical_alignment="bottom")
    tokens = row[0].number_input(
        "Tokens of actions",
        0,
        2_000_000,
        CorpusSpec.items,
        50_000,
        key="train-tokens",
        help="Of the training split, joined in many orders: every token has words before it that "
        "no other has.",
    )
    written = row[1].number_input(
        "Tokens it writes itself",
        0,
        1_000_000,
        0,
        10_000,
        key="train-written",
        help="Sampled from the model: about 100 a second on two cores, kept for the next time.",
    )
    epochs = row[2].number_input("Passes", 1, 200, TrainSpec.epochs, key="train-epochs")
    seed = row[3].number_input("Seed", 0, 9999, 0, key="train-seed")
    return tokens, written, epochs, seed


def _wider(d_model: int) -> Callable[[int], str]:
    return lambda one: f"{one} × {d_model:,} = {one * d_model:,}"
