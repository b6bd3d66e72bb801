"""From a text to the tokens a model reads: template, pooling, batches, padding.

The default is ``{action} is morally`` (arXiv 2603.15615) with final punctuation stripped. The first
token is left out of the mean: it is an attention sink whose norm swamps the rest (Gemma 3 270M:
88,000 against 7,000). So it is where the tokenizer adds no BOS and the first token is a word: in
most models the sink is the first token, whatever it is. Where it is none, leaving it out costs
little (Gemma read without BOS, layer 9: typicality .23 without the first word, .22 with it; R² .051
and .048), while a sink in the mean writes the text's length over everything else (|r| of the first
component with it: .93).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from core import CoreError
from core.models.opened import text_ids
from core.runtime.arrays import StoredDtype

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

Pooling = Literal["mean", "last", "mean_all"]
PaddingSide = Literal["right", "left"]

#: Of a prompt that is too long, this many tokens at its end are kept, so that the suffix survives.
KEPT_END: Final = 16

#: Without the look-behind a run of blanks is tried from each of them: hours for a megabyte.
_FINAL_PUNCTUATION: Final = re.compile(r"(?<![\s.!?…,;:。!?,;:])[\s.!?…,;:。!?,;:]+$")


@dataclass(frozen=True)
class ReadSpec:
    """How a text becomes a prompt and a prompt's states become one vector."""

    template: str = "{action} is morally"
    """What the model reads; ``{action}`` stands once in it for the text."""

    strip: bool = True
    """Strip the text's final punctuation and blanks before it enters the template."""

    poolings: tuple[Pooling, ...] = ("mean", "last")
    """Mean over real tokens without the first, last real token, mean over all real tokens."""

    dtype: StoredDtype = "float32"
    """How states are stored; pooling itself is always float32. float16 would overflow."""

    max_tokens: int = 256
    """Longer prompts lose tokens before their last 16."""

    centred_over: Literal["texts", "rows"] = "texts"
    """What the mean and spread that are taken off states are of: each different text once, or each
    row of the set, so that a text counts as often as it has rows. No reading depends on it."""

    def __post_init__(self) -> None:
        if self.template.count("{action}") != 1:
            raise CoreError(
                f"The template {self.template!r} must contain {{action}} exactly once, "
                "for instance '{action} is morally'."
            )
        if not self.poolings or set(self.poolings) - set(get_args(Pooling)):
            raise ValueError(f"poolings must be some of {get_args(Pooling)}, not {self.poolings}")
        if self.dtype not in get_args(StoredDtype):
            raise ValueError(f"states are stored as {get_args(StoredDtype)}, not {self.dtype}")
        if self.max_tokens <= KEPT_END:
            raise ValueError(f"max_tokens must exceed {KEPT_END}")

    def prompt(self, text: str) -> str:
        """Return what the model reads for a text."""
        return self.template.replace(
            "{action}", _FINAL_PUNCTUATION.sub("", text) if self.strip else text
        )


#: ``paper``: the released code's own choices, kept so that the effect of each repair can be seen.
PRESETS: Final = {
    "default": ReadSpec(),
    "paper": ReadSpec(
        strip=False,
        poolings=("mean_all", "last", "mean"),
        max_tokens=128,
        centred_over="rows",
    ),
}

#: Other ways to put the same action, each beside the default; a chat turn is the model's own.
TEMPLATES: Final = {
    "bare": "{action}",
    "is morally": ReadSpec().template,
    "morally speaking": "Morally speaking, {action} is",
    "people think": "People think that {action} is",
    "right or wrong": "Is it right or wrong? {action}. It is",
}
#: The turn of a model that has no chat template.
PLAIN_TURN: Final = "User: {action}\nAssistant:"


def chat_turn(model: "OpenModel") -> str:
    """Return a template that puts the action as a user's turn, as the model's chat has it.

    ``PLAIN_TURN`` where the model has no chat template, or one that refuses or changes the text.
    """
    from jinja2 import TemplateError

    tokenizer: Any = model.tokenizer
    if not tokenizer.chat_template:
        return PLAIN_TURN
    said = [{"role": "user", "content": "{action}"}]
    try:
        turn = str(tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False))
    except TemplateError:
        return PLAIN_TURN
    [ids] = text_ids(model, ["{action}"])
    if tokenizer.bos_token and ids[:1] == [tokenizer.bos_token_id]:  # it is put there once more
        turn = turn.removeprefix(tokenizer.bos_token)
    return turn if turn.count("{action}") == 1 else PLAIN_TURN


def encode(model: "OpenModel", prompts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Tokenise prompts as the model's tokenizer does, but without tokens that it appends.

    Of a long one the middle is left out.

    Raises:
        CoreError: A prompt has no token: an empty text, a template that adds nothing, no BOS. Or
            the tokenizer is larger than the model.
    """
    encoded = text_ids(model, prompts)
    if not all(encoded):
        raise CoreError(
            f"With this template an empty text gives no token to {model.card.name}. Use a template "
            "with words in it, such as '{action} is morally', or leave empty texts out."
        )
    return [
        ids if len(ids) <= max_tokens else ids[: max_tokens - KEPT_END] + ids[-KEPT_END:]
        for ids in encoded
    ]


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield row numbers by growing length, each batch at most ``budget`` tokens with its padding.

    The order depends on lengths and row numbers alone, so a resumed run cuts the same batches.
    """
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    batch: list[int] = []
    for row in order:
        if batch and lengths[row] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def collate(
    encoded: Sequence[list[int]], pad: int, side: PaddingSide = "right"
) -> "dict[str, torch.Tensor]":
    """Pad token lists to one rectangle with mask and positions.

    Positions are given explicitly: models with absolute positions read left padding wrongly
    without them.

    Returns:
        ``input_ids``, ``attention_mask``, ``position_ids``, each int64 ``(batch, tokens)``.
    """
    import torch

    width = max(map(len, encoded))
    ids = torch.full((len(encoded), width), pad)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(encoded):
        where = slice(0, len(tokens)) if side == "right" else slice(width - len(tokens), width)
        ids[row, where] = torch.tensor(tokens)
        mask[row, where] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def pooling_masks(
    mask: "torch.Tensor", poolings: Sequence[Pooling]
) -> "dict[Pooling, torch.Tensor]":
    """Return which tokens each pooling averages, bool ``(batch, tokens)``.

    A prompt of a single token keeps that token under ``mean``: there is no other.
    """
    import torch

    real = mask.bool()
    count = real.sum(dim=1, keepdim=True)
    ordinal = real.cumsum(dim=1)  # 1 at the first real token, whatever the padding side
    masks: dict[Pooling, torch.Tensor] = {
        "mean": real & ((ordinal > 1) | (count == 1)),
        "last": real & (ordinal == count),
        "mean_all": real,
    }
    return {pooling: masks[pooling] for pooling in poolings}
