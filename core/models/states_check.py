"""Proof, when a model is opened, that the states read from its layers are the model's own.

Where a layer's output is taken, how a batch is padded and which positions it is given suit most
architectures, not all: what they do not suit would be read without an error, and wrongly. So eight
short texts are read in one batch, as everything is read, and each by itself by transformers. Every
backend passes this gate, vLLM too. On the way it is noted what the first token is and how long its
state, for that one is left out.

The trace here is the only one outside ``activations.traces``, which models cannot import.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.models.card import ModelCard
from core.models.opened import OpenModel, text_ids
from core.models.spec import ModelError
from core.models.tokenizers import prepended
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report
from core.runtime.store import Store, library_version

if TYPE_CHECKING:
    import torch

_FORMAT: Final = 3
#: Eight texts, and to how many tokens each is brought.
_TEXTS: Final = (
    ("to help someone who asked for it", 11),
    ("to lie", 4),
    ("keeping a promise although it costs a whole weekend", 16),
    ("laughing at a friend", 6),
    ("to share the last bread", 8),
    ("taking what belongs to others because nobody looks", 13),
    ("to obey", 5),
    ("speaking up for a stranger", 9),
)
#: What pooled states of these texts must reach in every layer, whatever reads them: the cosine with
#: transformers' own, and the mean absolute difference in units of the mean absolute state.
LEAST_COSINE: Final = 0.99
#: In bfloat16 transformers itself differs by .011 between a text alone and in a batch (Gemma 3).
MOST_ERROR: Final = {"float32": 0.01, "bfloat16": 0.05}
#: Largest difference of a state, relative to its length. In float32, kernels for another shape of
#: batch differ by about 1e-6. Sixteen bits keep two or three digits and every layer rounds anew.
#: What is read wrongly differs by about its own length.
_BOUNDS: Final = {"float32": 1e-4, "bfloat16": 0.1}
_SHOWN_ERROR: Final = 200  # characters


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


class _Alone(NamedTuple):
    """What a model gives for one text by itself, each ``(tokens, d_model)``, float32 on the CPU."""

    states: "list[torch.Tensor]"
    """As transformers reports them; the last is after the final norm."""

    last: "torch.Tensor"
    """Output of the last layer, proven to be what the final norm reads."""


def kept_check(
    store: Store, card: ModelCard, model: OpenModel | None = None, own: "Own | None" = None
) -> Made[Checked]:
    """Return how states read here compare with transformers' own, and what the first token is.

    Args:
        store: Where it is kept, by the model's content and how it computes.
        card: The model.
        model: The same, open; needed to make it.
        own: ``kept_own`` of the same model in transformers; needed to make it for vLLM.
    """

    def make(report: Report) -> Checked:
        if model is None:
            raise ValueError("states are checked on an open model")
        return check_states(model) if own is None else check_served(model, own, report)

    return artefact(
        store,
        "states-check",
        _key(card),
        read=read_json("check.json", lambda record: Checked(**record)),
        write=write_json("check.json", lambda checked: checked._asdict()),
        make=make,
        lane="model",
    )


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


def kept_own(store: Store, card: ModelCard, model: OpenModel | None = None) -> Made[Own]:
    """Return transformers' own states of the eight texts; made once, with the model open here.

    Args:
        store: Where it is kept.
        card: The model, read by transformers.
        model: The same, open; needed to make it.
    """

    def make(_: object) -> Own:
        if model is None:
            raise ValueError("transformers' states are read with an open model")
        texts = [_tokens(model, text, length) for text, length in _TEXTS]
        alone = [_read_alone(model, ids) for ids in texts]
        pooled = np.stack([_pooled([*one.states[:-1], one.last]) for one in alone], axis=2)
        return Own(texts, pooled, *_first_token(model, alone[0]))

    def write(folder: Path, own: Own) -> None:
        np.save(folder / "pooled.npy", own.pooled)
        record = {"tokens": own.tokens, "leading": own.leading, "times": own.times}
        (folder / "own.json").write_text(json.dumps(record))

    def read(folder: Path) -> Own:
        record = json.loads((folder / "own.json").read_text())
        return Own(pooled=np.load(folder / "pooled.npy"), **record)

    return artefact(
        store, "states-own", _key(card), read=read, write=write, make=make, lane="model"
    )


def _key(card: ModelCard) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": card.identity,
        "compute": card.compute,
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }


def check_told(store: Store, card: ModelCard) -> str:
    """Say how the states compare with transformers' own; empty if this model was not opened yet."""
    checked = _kept(store, card)
    if checked is None:
        return ""
    told = "no difference"
    if checked.difference:
        told = f"{checked.difference:.0e}".replace("e-0", "e-")
    return f"checked against transformers: {told}; {_figures(checked.cosine, checked.error)}"


def _figures(cosine: float, error: float) -> str:
    """Return both figures unrounded: a backend at .010466 is not one at .01."""
    return f"eight texts: cosine {cosine!r}, mean absolute error {error!r}"


def first_token_told(store: Store, card: ModelCard) -> str:
    """Say which token is left out of "mean", and why; empty if this model was not opened yet."""
    checked = _kept(store, card)
    if checked is None:
        return ""
    sink = f"its state is up to {checked.times:.0f} times as long as the others'"
    if checked.leading:
        return (
            f"{checked.leading}, which the tokenizer puts first, is left out of the mean ({sink})"
        )
    return (
        "the tokenizer puts none of its own first, so the first token of a word is left out of the "
        f"mean ({sink}); the preset paper keeps it"
    )


def _kept(store: Store, card: ModelCard) -> Checked | None:
    return None if card.packed or card.spec.remote else kept_check(store, card).open()


def check_states(model: OpenModel) -> Checked:
    """Compare states read here with transformers' own, and look at the first token.

    Batches are padded on either side: readings pad on the right, steering's read-outs on the left.

    Raises:
        ModelError: They differ, are not finite, or cannot be read.
    """
    texts = [_tokens(model, text, length) for text, length in _TEXTS]
    alone = [_read_alone(model, ids) for ids in texts]
    own = np.stack([_pooled([*one.states[:-1], one.last]) for one in alone], axis=2)
    found, cosine, error = 0.0, 1.0, 0.0
    for left in (False, True):
        read, mask = _read_together(model, texts, left=left)
        for layer, states in enumerate(read, start=-1):
            _check_shape(model, states, layer, mask)
            for row, one in enumerate(alone):
                alike = one.last if layer == len(read) - 2 else one.states[layer + 1]
                difference = _difference(model, states[row][mask[row].bool()], alike)
                _check_size(model, difference, layer)
                found = max(found, difference)
        pooled = [_pooled([one[row][mask[row].bool()] for one in read]) for row in range(len(mask))]
        near, far = _compared(np.stack(pooled, axis=2), own)
        cosine, error = min(cosine, near), max(error, far)
    _check_figures(model, cosine, error)
    leading, times = _first_token(model, alone[0])
    return Checked(found, cosine, error, leading, times)


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
        raise _unreadable(
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
    raise _unreadable(
        model,
        f"{_figures(cosine, error)} of the mean absolute state, by transformers' own; "
        f"{LEAST_COSINE} at least and {most} at most are allowed. Read it in float32 "
        "(dtype=float32), or leave backend out, if it has one",
    )


def _first_token(model: OpenModel, alone: _Alone) -> tuple[str, float]:
    """Return what the tokenizer puts first, and how long the first token's state is."""
    tokenizer: Any = model.tokenizer
    leading = "".join(tokenizer.convert_ids_to_tokens(prepended(tokenizer)))
    return leading, max(_first_by_others(states) for states in alone.states)


def _first_by_others(states: "torch.Tensor") -> float:
    lengths = states.norm(dim=1)
    return float(lengths[0] / lengths[1:].median().clamp(min=1e-30))


def _tokens(model: OpenModel, text: str, length: int) -> list[int]:
    """Return so many tokens of a text; what a tokenizer makes too short is repeated."""
    ids = text_ids(model, [text])[0] or [0]
    return (ids * length)[:length]


def _read_alone(model: OpenModel, ids: list[int]) -> _Alone:
    """Read one text as transformers does, and find the last layer's output in it."""
    import torch

    layers: Any = model.module.get_submodule(model.layers)
    outside = [
        module
        for path, module in model.module.named_modules()
        if path and not f"{path}.".startswith(f"{model.layers}.")
    ]
    passed: list[tuple[list[Any], Any]] = []  # what each module outside the layers read and gave
    ended: list[Any] = []

    def note(_: Any, args: Any, named: Any, output: Any) -> None:
        passed.append(([*args, *named.values()], _first(output)))

    hooks = [one.register_forward_hook(note, with_kwargs=True) for one in outside]
    hooks.append(layers[-1].register_forward_hook(lambda *told: ended.append(_first(told[-1]))))
    try:
        with _refusing(model, "transformers fails on a short text:"), model.lock, torch.no_grad():
            given = model.module(
                torch.tensor([ids], device=model.module.device),
                output_hidden_states=True,
                use_cache=False,
            ).hidden_states
    finally:
        for hook in hooks:
            hook.remove()
    _check_reported(model, given, ended, len(ids))
    if not _leads_to(ended[0], given[-1], passed):
        raise _unreadable(model, "what its last layer gives is not what its final norm reads")
    return _Alone([one[0].float().cpu() for one in given], ended[0][0].float().cpu())


def _check_reported(
    model: OpenModel, given: "Sequence[torch.Tensor] | None", ended: list[Any], tokens: int
) -> None:
    """Refuse a model that reports other states than one after each layer, or not finite ones."""
    count = model.card.n_layers
    if given is None or len(given) != count + 1 or len(ended) != 1:
        raise _unreadable(
            model, f"transformers does not report one state after each of its {count} layers"
        )
    for layer, states in enumerate((*given[:-1], ended[0]), start=-1):
        shape = getattr(states, "shape", ())  # a few architectures give lists
        if tuple(shape) != (1, tokens, model.card.d_model):
            raise _unreadable(
                model,
                f"{_named(layer)} gives a {type(states).__name__} {tuple(shape)} for one text of "
                f"{tokens} tokens, not {(1, tokens, model.card.d_model)}",
            )
        if not states.isfinite().all():
            raise ModelError(
                f"States of {model.card.name} are not finite numbers: {_named(layer)}, in a short "
                f"text. {not_finite_advice(model.card.dtype)}"
            )


def not_finite_advice(dtype: str) -> str:
    """Say what to do about states that are not finite, by the number format in use."""
    if dtype != "float32":
        return (
            f"{dtype} may be too coarse for this model: read it with dtype=float32. If that "
            "changes nothing, its weights are damaged: fetch it again."
        )
    return (
        "It runs in float32 already, so its weights themselves hold NaN or infinite numbers: fetch "
        "the model again, or ask who trained it."
    )


def _leads_to(
    ended: "torch.Tensor", reported: "torch.Tensor", passed: list[tuple[list[Any], Any]]
) -> bool:
    """Tell whether the last layer's output is reported itself, or after one module (the norm)."""
    if _same(ended, reported):
        return True
    return any(
        _same(given, reported) and any(_same(one, ended) for one in read) for read, given in passed
    )


def _same(one: Any, other: "torch.Tensor") -> bool:
    import torch

    return (
        isinstance(one, torch.Tensor)
        and one.shape == other.shape
        and torch.equal(one.to(other.device), other)
    )


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def _read_together(
    model: OpenModel, texts: Sequence[list[int]], *, left: bool
) -> "tuple[list[torch.Tensor], torch.Tensor]":
    """Read texts in one padded batch, as ``activations.prompts.collate`` makes it.

    Returns:
        What layer 0 reads and what each layer gives, float32 on the CPU; the mask of real tokens.
    """
    import torch

    width = max(map(len, texts))
    ids = torch.full((len(texts), width), int(model.tokenizer.pad_token_id or 0))
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(texts):
        where = slice(width - len(tokens), width) if left else slice(0, len(tokens))
        ids[row, where] = torch.tensor(tokens)
        mask[row, where] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    batch = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    layers = model.lm.get(model.layers)
    saved: list[Any] = []
    with _refusing(model, "two texts in one padded batch end in"), model.lock, torch.no_grad():
        with model.lm.trace(batch) as tracer:  # pragma: no cover - runs under nnsight's frame
            saved.append(layers[0].input)
            for layer in layers:
                saved.append(layer.output)
            tracer.stop()
        read = [_first(one).float().cpu() for one in saved]
    return read, mask


def _check_shape(
    model: OpenModel, states: "torch.Tensor", layer: int, mask: "torch.Tensor"
) -> None:
    expected = (*mask.shape, model.card.d_model)
    if tuple(states.shape) != expected:
        raise _unreadable(
            model,
            f"{_named(layer)} gives a Tensor {tuple(states.shape)} for {expected[0]} texts "
            f"of {expected[1]} tokens, not {expected}",
        )


def _difference(model: OpenModel, read: "torch.Tensor", own: "torch.Tensor") -> float:
    """Return how far a text's states lie from the model's own, relative to their lengths.

    Of float32 the worst token counts. In sixteen bits a mixture of experts may send a token
    elsewhere because of the last bit, so there it is the middle one: a mistake hits all tokens.
    """
    lengths = own.norm(dim=1).clamp(min=1e-30)
    each = (read - own).norm(dim=1) / lengths
    return float(each.max() if model.card.dtype == "float32" else each.median())


def _check_size(model: OpenModel, difference: float, layer: int) -> None:
    bound = _BOUNDS[model.card.dtype]
    if not difference <= bound:  # NaN is refused, too
        raise _unreadable(
            model,
            f"in a padded batch {_named(layer)} lies {difference:.1g} times its own length from "
            f"that of the text alone ({bound:g} is allowed in {model.card.dtype}); positions or "
            "layers work otherwise here",
        )


def _named(layer: int) -> str:
    return "the embedding output" if layer < 0 else f"layer {layer}"


@contextmanager
def _refusing(model: OpenModel, what: str) -> Iterator[None]:
    """Refuse a model that fails on a short text; a device that is full now says nothing about it.

    Architectures that do not suit fail in any way there is, so nothing narrower can be caught.
    """
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(
            f"There is no memory left to read a short text with {model.card.name}. Close other "
            "programs or models, and try again."
        ) from error
    except Exception as error:
        raise _unreadable(model, f"{what} {_said(error)}") from error


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"[:_SHOWN_ERROR]


def _unreadable(model: OpenModel, why: str) -> ModelError:
    card = model.card
    return ModelError(
        f"The states of {card.name} ({card.architecture}) cannot be read here: {why}. Choose "
        "another architecture."
    )
