"""Refuses states that are no numbers, wherever texts are read, before anything is made of them."""

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Final

from core import CoreError
from core.layers import layer_name
from core.models.devices import not_finite_advice

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

_SHOWN_TEXT: Final = 80  # characters of a text in a message


def check_finite(
    model: "OpenModel",
    finite: "torch.Tensor",
    layers: Sequence[int],
    encoded: Sequence[Sequence[int]],
    *,
    steered: bool = False,
) -> None:
    """Refuse a batch with states that are no numbers, naming the first layer and a text.

    Args:
        model: The model that read.
        finite: Whether all states of a text are numbers, bool ``(n_layers, batch)``.
        layers: Which layers.
        encoded: Tokens of each text.
        steered: Whether the model was steered while it read.

    Raises:
        CoreError: One is NaN or infinite.
    """
    if finite.all():
        return
    entry, row = (~finite).nonzero()[0].tolist()
    text = model.tokenizer.decode(list(encoded[row]), skip_special_tokens=True)
    shown = shorten(str(text), _SHOWN_TEXT, placeholder=" …")
    where = f"{layer_name(layers[entry], long=True)}, in the text {shown!r}"
    if steered:
        raise CoreError(
            f"Steered like this, states are no longer finite numbers: {where}. Choose a smaller "
            "strength, or a later layer."
        )
    raise CoreError(
        f"States are not finite numbers: {where}. {not_finite_advice(model.card.dtype)}"
    )
