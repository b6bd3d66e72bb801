"""What all layouts share: hints from outside, facts of a description, tensors taken one by one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.sae.dictionary import Dictionary, DictionaryError, DictionaryInfo

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, "torch.Tensor"]

#: A hook point that is a decoder layer's output; group 1 is the layer.
LAYER_OUTPUT: Final = re.compile(
    r"(?:[A-Za-z_]+\.)*(?:layers|blocks|h)\.(\d+)(?:\.output|\.hook_resid_post)?"
)
_LAYER_INPUT: Final = re.compile(r"blocks\.(\d+)\.hook_resid_pre")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_LABEL_LIMIT: Final = 200


@dataclass(frozen=True)
class Hints:
    """What is known of a dictionary from outside its files: a release's table, or the person."""

    name: str = ""
    """Short name, where the files state none; empty: that of their folder."""

    source: str = ""
    """Where it came from."""

    model_name: str = ""
    """The model, such as ``google/gemma-3-270m``."""

    k: int | None = None
    """Latents on per token, for a TopK dictionary whose files do not say it."""

    scale: float | None = None
    """Factor on the states before the dictionary was trained, if its files leave it out."""

    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Entries that replace those of ``cfg.json``."""


UNTOLD: Final = Hints()


def layer_of(name: str, hook: str) -> int:
    """Return the decoder layer whose output a hook point reads.

    Args:
        name: Of the dictionary, for messages.
        hook: As SAELens or transformers name it: ``blocks.9.hook_resid_post``,
            ``blocks.10.hook_resid_pre`` (the same stream), ``model.layers.9.output``.

    Raises:
        DictionaryError: It is no residual stream, or the one before the first layer.
    """
    after, before = LAYER_OUTPUT.fullmatch(hook), _LAYER_INPUT.fullmatch(hook)
    if after:
        return int(after[1])
    if before and int(before[1]) > 0:
        return int(before[1]) - 1
    raise DictionaryError(
        f"{name} was trained at {hook[:80]!r}, which is not the output of a decoder layer. Choose "
        "a dictionary of the residual stream (blocks.N.hook_resid_post)."
    )


def whole(value: object) -> int | None:
    """Return a whole number, also one that a description states as text or as a float."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def plain(value: object) -> str:
    """Return a word as it is compared: ``TopK``, ``top_k`` and ``topk`` mean the same."""
    return re.sub(r"[\s_-]", "", str(value).lower())


def table(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the table under a name of a description; empty where there is none."""
    value = facts.get(name)
    return value if isinstance(value, dict) else {}


def label(facts: Mapping[str, Any], name: str) -> str:
    """Return the text under a name of a description, cut short; empty where there is none."""
    value = facts.get(name)
    return value[:_LABEL_LIMIT] if isinstance(value, str) else ""


def is_on(facts: Mapping[str, Any], name: str, *, usual: bool = False) -> bool:
    """Return a yes or no, also one that a description states as a word."""
    value = facts.get(name)
    if isinstance(value, str):
        return plain(value) not in ("false", "no", "none", "0", "")
    return usual if value is None else bool(value)


def take(name: str, tensors: "dict[str, torch.Tensor]", wanted: str) -> "torch.Tensor":
    """Take a tensor out of those of a dictionary, or refuse the dictionary that lacks it."""
    if wanted not in tensors:
        found = ", ".join(sorted(tensors))[:120] or "nothing"
        raise DictionaryError(f"{name} is damaged: it lacks {wanted} and holds {found}.")
    return tensors.pop(wanted)


def linear_encoder(name: str, tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Take the encoder as ``torch.nn.Linear`` keeps it, one row a latent."""
    rows = take(name, tensors, "encoder.weight")
    bias = take(name, tensors, "encoder.bias")
    return {"w_enc": rows.transpose(0, -1).contiguous(), "b_enc": bias}


def nothing_left(name: str, tensors: "Tensors") -> None:
    """Refuse a dictionary of which some tensors were not taken."""
    if tensors:
        raise DictionaryError(
            f"{name} holds {', '.join(sorted(tensors))[:120]}, which its architecture does "
            "not have, so what it computes is uncertain. Choose another dictionary."
        )


def transcoder(name: str) -> DictionaryError:
    """Return the error for a dictionary that predicts one place from another."""
    return DictionaryError(
        f"{name} is a transcoder: it predicts one place of the model from another. Choose a "
        "dictionary of the residual stream."
    )


def built(
    info: DictionaryInfo,
    weights: "Mapping[str, torch.Tensor]",
    facts: Mapping[str, Any] | None = None,
) -> Dictionary:
    """Build it, after the widths that a description states."""
    shape = tuple(weights["w_enc"].shape)
    stated = tuple((facts or {}).get(name) for name in ("d_in", "d_sae"))
    if any(
        told is not None and whole(told) not in shape[i : i + 1] for i, told in enumerate(stated)
    ):
        width, latents = (str(told)[:20] for told in stated)
        raise DictionaryError(
            f"{info.name} is damaged: its description states a width of {width} and {latents} "
            f"latents, its encoder has the shape {shape}."
        )
    return Dictionary(info, **weights)
