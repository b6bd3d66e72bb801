"""How the next token is chosen, and when a text ends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import CoreError

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

MOST_TOKENS: Final = 400
MOST_SAMPLES: Final = 8
#: Larger whole numbers do not survive every reader of JSON.
MOST_SEED: Final = 2**53


class DecodingError(CoreError):
    """Tokens cannot be chosen so."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen."""

    tokens: int = 40
    """Most new tokens."""

    temperature: float = 0.8
    """0 takes the likeliest token."""

    top_k: int = 50
    """Tokens that can be drawn; keeps the sort off the whole vocabulary."""

    top_p: float = 0.95
    """Of these, the likeliest that together have this probability."""

    samples: int = 2
    """Texts per arm."""

    seed: int = 0
    """The same numbers are drawn for the plain and the steered text of a sample."""

    chat: bool = False
    """Wrap the prompt into the model's chat template."""

    def __post_init__(self) -> None:
        rules = (
            (is_whole(self.tokens, 1, MOST_TOKENS), f"tokens must be 1 to {MOST_TOKENS}"),
            (is_between(self.temperature, 0, 5), "the temperature must be 0 to 5"),
            (is_whole(self.top_k, 1, 1000), "top_k must be 1 to 1,000"),
            (is_between(self.top_p, 0, 1) and self.top_p > 0, "top_p must be above 0, at most 1"),
            (is_whole(self.samples, 1, MOST_SAMPLES), f"samples must be 1 to {MOST_SAMPLES}"),
            (is_whole(self.seed, 0, MOST_SEED), "the seed must be a whole number from 0"),
            (isinstance(self.chat, bool), "chat must be true or false"),
        )
        for holds, rule in rules:
            if not holds:
                raise DecodingError(f"This recipe cannot be run: {rule}.")
        object.__setattr__(self, "temperature", float(self.temperature) + 0.0)
        object.__setattr__(self, "top_p", float(self.top_p))


def next_inputs(
    batch: "dict[str, torch.Tensor]", tokens: "torch.Tensor"
) -> "dict[str, torch.Tensor]":
    """Return the inputs of the next step: one new token per row.

    Args:
        batch: Inputs of the step before, with the mask of all tokens so far.
        tokens: The new tokens, shape ``(batch,)``.
    """
    import torch

    mask = batch["attention_mask"]
    return {
        "input_ids": tokens[:, None].to(mask.device),
        "attention_mask": torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1),
        "position_ids": batch["position_ids"][:, -1:] + 1,
    }


def end_tokens(model: "OpenModel") -> set[int]:
    """Return the tokens that end a text, as the model's generation settings name them."""
    ends = getattr(model.module.generation_config, "eos_token_id", None)
    named = ends if isinstance(ends, list) else [ends]
    return {int(one) for one in (*named, model.tokenizer.eos_token_id) if one is not None}


def choose(logits: "torch.Tensor", uniform: "torch.Tensor", decoding: Decoding) -> "torch.Tensor":
    """Choose a token per row by its uniform number in [0, 1): the same number, the same quantile.

    Args:
        logits: Shape ``(batch, vocabulary)``.
        uniform: Shape ``(batch,)``.
        decoding: Temperature, top_k, top_p.
    """
    import torch

    if decoding.temperature == 0:
        return logits.argmax(dim=1)
    kept = min(decoding.top_k, logits.shape[1])
    value, token = logits.topk(kept, dim=1)
    share = torch.softmax((value - value[:, :1]).double() / decoding.temperature, dim=1)
    before = share.cumsum(dim=1) - share
    share = torch.where(before < decoding.top_p, share, 0.0)
    reached = (share / share.sum(dim=1, keepdim=True)).cumsum(dim=1)
    last = (share > 0).sum(dim=1) - 1  # the sum of shares may end a little below 1
    place = torch.minimum((reached <= uniform[:, None]).sum(dim=1), last)
    return token.gather(1, place[:, None])[:, 0]


def is_between(value: object, low: float, high: float) -> bool:
    """Tell whether this is a number, not NaN, in a range; ``True`` is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high  # type: ignore[operator]


def is_whole(value: object, low: int, high: int | None = None) -> bool:
    """Tell whether this is a whole number in a range; ``True`` is none."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and low <= value and (high is None or value <= high)  # type: ignore[operator]
