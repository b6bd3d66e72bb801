"""What the steering page is asked for: one recipe, kept in widgets and in the address."""

from typing import Final, NamedTuple, cast, get_args

import streamlit as st

from core.directions import Method
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.prompts import Pooling
from core.recipes import MOST_SAMPLES, MOST_TOKENS, Decoding, Operation, Positions, Recipe, Term
from core.study import Study
from pages.parts.address import bound

AXES: Final = (*FOUNDATIONS, *DIMENSIONS)
#: Ends of the sliders, in per cent of the residual norm.
MOST: Final = 40
DOSES: Final = range(-MOST, MOST + 1)
PROMPT: Final = "Taking the last seat on the bus from an old man is morally"
SEEDS: Final = range(10_000)
_POSITIONS: Final[dict[str, str]] = {
    "not first": "All but the first token",
    "all": "All tokens",
    "generated": "Only what it writes",
}
_OPERATIONS: Final[dict[str, str]] = {
    "add": "Add the direction",
    "project out": "Take its part away",
    "set": "Set its part",
}
_METHODS: Final[dict[str, str]] = {
    "means": "Difference of means",
    "probe": "Weights of a probe",
    "shuffled": "Shuffled labels (control)",
}


class Choice(NamedTuple):
    """Where and how the model is steered; strengths are in the sliders."""

    layers: tuple[int, ...]
    """Decoder layers."""

    positions: Positions
    """Which tokens."""

    operation: Operation
    """What is done with the direction."""

    method: Method
    """How directions are made."""

    pooling: Pooling
    """From which states."""


def key_of(axis: str) -> str:
    """Return an axis's name in the address."""
    return axis


def ask(study: Study) -> Choice:
    """Draw where and how, and return it."""
    layers = list(range(study.card.n_layers))
    row = st.columns([2.4, 1.4, 1.4, 1.4], vertical_alignment="bottom")
    layer = row[0].select_slider(
        "Steer after layer",
        layers,
        help="Output of a decoder layer. Two thirds up, meaning is made and words are not yet.",
        **bound("at", round(2 * len(layers) / 3), layers),
    )
    positions = row[1].selectbox(
        "Which tokens",
        list(_POSITIONS),
        format_func=_POSITIONS.__getitem__,
        help="The first token is an attention sink: moving it does harm and nothing else.",
        **bound("where", "not first", list(_POSITIONS)),
    )
    method = row[2].selectbox(
        "Direction from",
        list(_METHODS),
        format_func=_METHODS.__getitem__,
        help="Typical virtue minus typical vice, on the training split.",
        **bound("how", "means", get_args(Method)),
    )
    with row[3].popover("More", icon=":material/settings:"):
        operation = st.selectbox(
            "What is done",
            list(_OPERATIONS),
            format_func=_OPERATIONS.__getitem__,
            **bound("op", "add", list(_OPERATIONS)),
        )
        rows = st.selectbox("Layers in a row", range(1, 7), **bound("rows", 1, range(1, 7)))
        poolings = [one for one in ("last", "mean", "mean_all") if one in study.plan.spec.poolings]
        pooling = st.selectbox(
            "States behind the direction", poolings, **bound("from", poolings[0], poolings)
        )
    chosen = tuple(range(int(layer), min(int(layer) + int(rows), len(layers))))
    return Choice(
        chosen,
        cast("Positions", positions),
        cast("Operation", operation),
        cast("Method", method),
        cast("Pooling", pooling),
    )


def terms(choice: Choice) -> tuple[Term, ...]:
    """Return the sliders that are off zero."""
    doses = {axis: int(st.session_state.get(key_of(axis)) or 0) for axis in AXES}
    return tuple(Term(axis, dose / 100, choice.method) for axis, dose in doses.items() if dose)


def decoding() -> Decoding:
    """Return how tokens are chosen, as the widgets say; defaults before they are drawn."""
    state, plain = st.session_state, Decoding()
    return Decoding(
        tokens=int(state.get("tokens", plain.tokens)),
        temperature=int(state.get("heat", round(100 * plain.temperature))) / 100,
        samples=int(state.get("samples", plain.samples)),
        seed=int(state.get("seed", plain.seed)),
        chat=bool(state.get("chat", False)),
    )


def recipe(study: Study, choice: Choice, how: Decoding | None = None) -> Recipe:
    """Return the recipe that the page shows."""
    return Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        study.plan.spec.template,
        choice.layers,
        terms(choice),
        choice.positions,
        choice.operation,
        choice.pooling,
        how or Decoding(),
    )


def prompt() -> str:
    """Return the prompt as typed."""
    return str(st.session_state.get("prompt", PROMPT))


def writing(*, chat: bool) -> None:
    """Draw how it writes."""
    plain = Decoding()
    tokens = (10, 20, 40, 80, 160, MOST_TOKENS)
    st.select_slider("New tokens", tokens, **bound("tokens", plain.tokens, tokens))
    samples = range(1, MOST_SAMPLES + 1)
    st.select_slider("Samples", samples, **bound("samples", plain.samples, samples))
    heats = range(0, 201, 10)
    st.select_slider(
        "Temperature",
        heats,
        format_func=lambda one: f"{one / 100:g}",
        help="0 takes the likeliest word each time.",
        **bound("heat", round(100 * plain.temperature), heats),
    )
    st.number_input("Seed", 0, SEEDS[-1], step=1, **bound("seed", plain.seed, SEEDS))
    if chat:
        st.toggle("Chat template", **bound("chat", default=False))
