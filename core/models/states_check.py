"""Proof, when a model is opened, that the states read from its layers are the model's own.

Where a layer's output is taken, how a batch is padded and which positions it is given suit most
architectures, not all: what they do not suit would be read without an error, and wrongly. So eight
short texts are read in one batch, as everything is read, and each by itself by transformers
(``short_texts``). Every backend passes this gate, vLLM too. On the way it is noted what the first
token is and how long its state, for that one is left out. ``states_kept`` keeps what was found.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.models.opened import OpenModel
from core.models.short_texts import (
    TEXTS,
    Alone,
    named,
    read_alone,
    read_together,
    tokens_of,
    unreadable,
)
from core.models.tokenizers import prepended
from core.runtime.progress import Report

if TYPE_CHECKING:
    import torch

#: What pooled states of these texts must reach in every layer, whatever reads them: the cosine with
#: transformers' own, and the mean absolute difference in units of the mean absolute state.
LEAST_COSINE: Final = 0.99
#: In bfloat16 transformers itself differs by .011 between a text alone and in a batch (Gemma 3).
MOST_ERROR: Final = {"float32": 0.01, "bfloat16": 0.05}
#: Largest difference of a state, relative to its length. In float32, kernels for another shape of
#: batch differ by about 1e-6. Sixteen bits keep two or three digits and every layer rounds anew.
#: What is read wrongly differs by about its own length.
_BOUNDS: Final = {"float32": 1e-4, "bfloat16": 0.1}


class Checked(NamedTuple):
    """What was found on eight short texts when a model was opened."""

    difference: float
    """Largest difference of a state from transformers' own, relative to its length; of vLLM, which
    gives no states of tokens, of a pooled one."""

    cosine: float
    """Lowest cosine of a text's pooled state with transformers' own, over layers."""

    error: float
    """Largest mean absolute difference of a layer's pooled states from transformers' own, in units
    of their mean absolute coordinate."""

    leading: str
    """The tokens that the tokenizer puts before every text, such as ``<bos>``; empty: none."""

    times: float
    """Length of the first token's state by that of the text's other tokens' (median), in the layer
    where it is longest. Above about 10 it is an attention sink."""


class Own(NamedTuple):
    """What transformers gives for the eight texts, to hold another backend against."""

    tokens: list[list[int]]
    """Of each text."""

    pooled: NDArray[np.float32]
    """Mean without the first token, and the last token, of each layer's states, shape
    ``(n_layers + 1, 2, 8, d_model)``; entry 0 is the embedding output."""

    leading: str
    """As in ``Checked``."""

    times: float
    """As in ``Checked``."""


def own_states(model: OpenModel) -> Own:
    """Return what transformers gives for the eight texts, of a model that is open here."""
    texts = [tokens_of(model, text, length) for text, length in TEXTS]
    return _own(model, texts, [read_alone(model, ids) for ids in texts])


def _own(model: OpenModel, texts: list[list[int]], alone: Sequence[Alone]) -> Own:
    pooled = np.stack([_pooled([*one.states[:-1], one.last]) for one in alone], axis=2)
    return Own(texts, pooled, *_first_token(model, alone[0]))


def check_states(model: OpenModel) -> Checked:
    """Compare states read here with transformers' own, and look at the first token.

    Batches are padded on either side: readings pad on the right, steering's read-outs on the left.

    Raises:
        ModelError: They differ, are not finite, or cannot be read.
    """
    texts = [tokens_of(model, text, length) for text, length in TEXTS]
    alone = [read_alone(model, ids) for ids in texts]
    own = _own(model, texts, alone)
    found, cosine, error = 0.0, 1.0, 0.0
    for left in (False, True):
        read, mask = read_together(model, texts, left=left)
        for layer, states in enumerate(read, start=-1):
            _check_shape(model, states, layer, mask)
            for row, one in enumerate(alone):
                alike = one.last if layer == len(read) - 2 else one.states[layer + 1]
                difference = _difference(model, states[row][mask[row].bool()], alike)
                _check_size(model, difference, layer)
                found = max(found, difference)
        pooled = [_pooled([one[row][mask[row].bool()] for one in read]) for row in range(len(mask))]
        near, far = _compared(np.stack(pooled, axis=2), own.pooled)
        cosine, error = min(cosine, near), max(error, far)
    _check_figures(model, cosine, error)
    return Checked(found, cosine, error, own.leading, own.times)


def check_served(model: OpenModel, own: Own, report: Report) -> Checked:
    """Hold what vLLM reads and pools against transformers' own.

    Args:
        model: The model in vLLM.
        own: Of the same model in transformers.
        report: Asked while vLLM opens the model.

    Raises:
        ModelError: They differ, are not finite, or cannot be read.
    """
    if model.served is None:
        raise ValueError("this model is not in vLLM")
    masks = [[[0, *[1] * (len(ids) - 1)] for ids in own.tokens]]
    masks.append([[*[0] * (len(ids) - 1), 1] for ids in own.tokens])
    pooled = model.served.pooled(own.tokens, masks, report)
    if pooled.shape != own.pooled.shape:
        raise unreadable(
            model, f"vLLM gives states of shape {pooled.shape}, transformers {own.pooled.shape}"
        )
    cosine, error = _compared(pooled, own.pooled)
    _check_figures(model, cosine, error)
    length = np.linalg.norm(own.pooled, axis=-1).clip(min=1e-30)
    difference = float((np.linalg.norm(pooled - own.pooled, axis=-1) / length).max())
    return Checked(difference, cosine, error, own.leading, own.times)


def _pooled(states: "Sequence[torch.Tensor]") -> NDArray[np.float32]:
    """Return mean without the first token, and last token, of each layer, ``(layers, 2, d)``."""
    found = [np.stack([one[1:].mean(dim=0).numpy(), one[-1].numpy()]) for one in states]
    return np.stack(found).astype(np.float32)


def _compared(read: NDArray[np.float32], own: NDArray[np.float32]) -> tuple[float, float]:
    """Return the lowest cosine, and the largest mean absolute error of a layer.

    Args:
        read: Pooled states, ``(layers, poolings, texts, d)``.
        own: Transformers' own.
    """
    one, other = read.astype(np.float64), own.astype(np.float64)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosine = (one * other).sum(axis=-1) / lengths.clip(min=1e-300)
    error = np.abs(one - other).mean(axis=(1, 2, 3))
    scale = np.abs(other).mean(axis=(1, 2, 3)).clip(min=1e-300)
    return float(cosine.min()), float((error / scale).max())


def _check_figures(model: OpenModel, cosine: float, error: float) -> None:
    most = MOST_ERROR[model.card.dtype]
    if cosine >= LEAST_COSINE and error <= most:  # NaN is refused, too
        return
    raise unreadable(
        model,
        f"{figures_told(cosine, error)} of the mean absolute state, by transformers' own; "
        f"{LEAST_COSINE} at least and {most} at most are allowed. Read it in float32 "
        "(dtype=float32), or leave backend out, if it has one",
    )


def figures_told(cosine: float, error: float) -> str:
    """Return both figures unrounded: a backend at .010466 is not one at .01."""
    return f"eight texts: cosine {cosine!r}, mean absolute error {error!r}"


def _first_token(model: OpenModel, alone: Alone) -> tuple[str, float]:
    """Return what the tokenizer puts first, and how long the first token's state is."""
    tokenizer: Any = model.tokenizer
    leading = "".join(tokenizer.convert_ids_to_tokens(prepended(tokenizer)))
    return leading, max(_first_by_others(states) for states in alone.states)


def _first_by_others(states: "torch.Tensor") -> float:
    lengths = states.norm(dim=1)
    return float(lengths[0] / lengths[1:].median().clamp(min=1e-30))


def _difference(model: OpenModel, read: "torch.Tensor", own: "torch.Tensor") -> float:
    """Return how far a text's states lie from the model's own, relative to their lengths.

    Of float32 the worst token counts. In sixteen bits a mixture of experts may send a token
    elsewhere because of the last bit, so there it is the middle one: a mistake hits all tokens.
    """
    lengths = own.norm(dim=1).clamp(min=1e-30)
    each = (read - own).norm(dim=1) / lengths
    return float(each.max() if model.card.dtype == "float32" else each.median())


def _check_shape(
    model: OpenModel, states: "torch.Tensor", layer: int, mask: "torch.Tensor"
) -> None:
    expected = (*mask.shape, model.card.d_model)
    if tuple(states.shape) != expected:
        raise unreadable(
            model,
            f"{named(layer)} gives a Tensor {tuple(states.shape)} for {expected[0]} texts "
            f"of {expected[1]} tokens, not {expected}",
        )


def _check_size(model: OpenModel, difference: float, layer: int) -> None:
    bound = _BOUNDS[model.card.dtype]
    if not difference <= bound:  # NaN is refused, too
        raise unreadable(
            model,
            f"in a padded batch {named(layer)} lies {difference:.1g} times its own length from "
            f"that of the text alone ({bound:g} is allowed in {model.card.dtype}); positions or "
            "layers work otherwise here",
        )
