"""Short texts read in both ways: each by itself by transformers, and all in one padded batch.

A model that fails at either, or whose layers give something other than one state of each token, is
refused with a reason. The trace here is the only one outside ``activations.traces``, which this
wing cannot import.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.models.devices import not_finite_advice
from core.models.opened import OpenModel, text_ids
from core.models.spec import ModelError

if TYPE_CHECKING:
    import torch

#: Eight texts, and to how many tokens each is brought.
TEXTS: Final = (
    ("to help someone who asked for it", 11),
    ("to lie", 4),
    ("keeping a promise although it costs a whole weekend", 16),
    ("laughing at a friend", 6),
    ("to share the last bread", 8),
    ("taking what belongs to others because nobody looks", 13),
    ("to obey", 5),
    ("speaking up for a stranger", 9),
)
_SHOWN_ERROR: Final = 200  # characters


class Alone(NamedTuple):
    """What a model gives for one text by itself, each ``(tokens, d_model)``, float32 on the CPU."""

    states: "list[torch.Tensor]"
    """As transformers reports them; the last is after the final norm."""

    last: "torch.Tensor"
    """Output of the last layer, proven to be what the final norm reads."""


def tokens_of(model: OpenModel, text: str, length: int) -> list[int]:
    """Return so many tokens of a text; what a tokenizer makes too short is repeated."""
    ids = text_ids(model, [text])[0] or [0]
    return (ids * length)[:length]


def read_alone(model: OpenModel, ids: list[int]) -> Alone:
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

    def note(_: Any, args: Any, words: Any, output: Any) -> None:
        passed.append(([*args, *words.values()], _first(output)))

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
        raise unreadable(model, "what its last layer gives is not what its final norm reads")
    return Alone([one[0].float().cpu() for one in given], ended[0][0].float().cpu())


def _check_reported(
    model: OpenModel, given: "Sequence[torch.Tensor] | None", ended: list[Any], tokens: int
) -> None:
    """Refuse a model that reports other states than one after each layer, or not finite ones."""
    count = model.card.n_layers
    if given is None or len(given) != count + 1 or len(ended) != 1:
        raise unreadable(
            model, f"transformers does not report one state after each of its {count} layers"
        )
    for layer, states in enumerate((*given[:-1], ended[0]), start=-1):
        shape = getattr(states, "shape", ())  # a few architectures give lists
        if tuple(shape) != (1, tokens, model.card.d_model):
            raise unreadable(
                model,
                f"{named(layer)} gives a {type(states).__name__} {tuple(shape)} for one text of "
                f"{tokens} tokens, not {(1, tokens, model.card.d_model)}",
            )
        if not states.isfinite().all():
            raise ModelError(
                f"States of {model.card.name} are not finite numbers: {named(layer)}, in a short "
                f"text. {not_finite_advice(model.card.dtype)}"
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


def read_together(
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


def named(layer: int) -> str:
    """Return how a refusal calls what a layer gives; -1 is the embedding output."""
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
        raise unreadable(model, f"{what} {_said(error)}") from error


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"[:_SHOWN_ERROR]


def unreadable(model: OpenModel, why: str) -> ModelError:
    """Return the refusal of a model, with the reason."""
    card = model.card
    return ModelError(
        f"The states of {card.name} ({card.architecture}) cannot be read here: {why}. Choose "
        "another architecture."
    )
