"""How the texts are written: length, samples, temperature, seed; in the address like the rest."""

from typing import Any, Final

import streamlit as st

from core.activations.decoding import MOST_SAMPLES, MOST_TOKENS, Decoding
from core.steering.recipes import RecipeError
from pages.shared.address import bound

_TOKENS: Final = range(1, MOST_TOKENS + 1)
_SAMPLES: Final = range(1, MOST_SAMPLES + 1)
#: Hundredths.
_TEMPERATURES: Final = range(0, 201, 10)
_SEEDS: Final = range(10_000)
_PLAIN: Final = Decoding()


def _hundredths(temperature: float) -> int:
    return round(100 * temperature)


def ask(*, chat: bool) -> None:
    """Draw the widgets.

    Args:
        chat: Whether the model has a chat template.
    """
    st.slider("New tokens", 1, MOST_TOKENS, **bound("tokens", _PLAIN.tokens, _TOKENS))
    st.slider("Samples", 1, MOST_SAMPLES, **bound("samples", _PLAIN.samples, _SAMPLES))
    st.select_slider(
        "Temperature",
        _TEMPERATURES,
        format_func=lambda one: f"{one / 100:g}",
        help="0 takes the likeliest word each time.",
        **bound("temperature", _hundredths(_PLAIN.temperature), _TEMPERATURES),
    )
    st.number_input("Seed", 0, _SEEDS[-1], step=1, **bound("seed", _PLAIN.seed, _SEEDS))
    named = bound("chat", default=False)
    if chat or st.session_state["chat"]:  # on by a link, it can be switched off
        st.toggle("Chat template", help="Wraps the prompt as a person's turn.", **named)


def decoding() -> Decoding:
    """Return how tokens are chosen, as the widgets say."""
    state = st.session_state
    return Decoding(
        tokens=int(state.get("tokens", _PLAIN.tokens)),
        temperature=int(state.get("temperature", _hundredths(_PLAIN.temperature))) / 100,
        samples=int(state.get("samples", _PLAIN.samples)),
        seed=int(state.get("seed", _PLAIN.seed)),
        chat=bool(state.get("chat", False)),
    )


def widgets(how: Decoding) -> dict[str, Any]:
    """Return the values of the widgets that give this decoding.

    Raises:
        RecipeError: No values do.
    """
    values = {
        "tokens": how.tokens,
        "temperature": _hundredths(how.temperature),
        "samples": how.samples,
        "seed": how.seed,
        "chat": how.chat,
    }
    exact = _hundredths(how.temperature) in _TEMPERATURES and how.seed in _SEEDS
    if not exact or (how.top_k, how.top_p) != (_PLAIN.top_k, _PLAIN.top_p):
        raise RecipeError(
            "This recipe draws its tokens in a way that this page has no controls for. Run it "
            "from Python."
        )
    return values
