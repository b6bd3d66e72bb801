"""What a model loses when it reads a reconstruction of one layer instead of the layer itself.

The first token is left as it is: dictionaries are not trained on it, and every layer behind
leans on it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.activations.prompts import batches, collate
from core.activations.traces import step_logits
from core.runtime.progress import Report, silent
from core.sae.dictionary import Dictionary
from core.statistics.bootstrap import Estimate, bootstrap_mean

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

    #: From states ``(batch, tokens, d_model)`` to what stands in their place.
    Replacement = Callable[[torch.Tensor], torch.Tensor]

#: Tokens, padding included, whose logits over the vocabulary are held at once.
_BUDGET: Final = 256


@dataclass(frozen=True)
class SpliceCosts:
    """Next-token cross-entropy with a layer's output replaced."""

    tokens: int
    """Predictions measured, all from tokens that were replaced."""

    plain: Estimate
    """Of the model as it is, nats per token, with 95 % interval over documents."""

    added: Mapping[str, Estimate]
    """What each replacement adds, nats per token."""

    def recovered(self, name: str) -> float:
        """Return the share of the cost of ``mean`` that a replacement avoids; 1: it costs nothing.

        Args:
            name: One of ``added``; ``mean`` must be there.
        """
        worst = self.added["mean"].value
        return 1 - self.added[name].value / worst if worst else float("nan")


def reconstruction(dictionary: Dictionary) -> "Replacement":
    """Return the replacement of states by a dictionary's reconstruction."""
    return lambda states: dictionary.decode(dictionary.encode(states))


def constant(state: NDArray[np.float32]) -> "Replacement":
    """Return the replacement of every state by the same one, shape ``(d_model,)``."""
    import torch

    return lambda states: torch.from_numpy(state).expand(states.shape)


def splice_costs(
    model: "OpenModel",
    documents: Sequence[Sequence[int]],
    layer: int,
    replacements: "Mapping[str, Replacement]",
    *,
    seed: int = 0,
    report: Report = silent,
) -> SpliceCosts:
    """Measure what replacements of a layer's output cost.

    Args:
        model: An open model.
        documents: Tokenised texts; those shorter than three tokens hold no prediction.
        layer: Decoder layer whose output is replaced.
        replacements: Name -> what stands in the place of the states.
        seed: Seed of the intervals.
        report: Told the number of documents read.

    Raises:
        Cancelled: The person cancelled.
    """
    long = [list(ids) for ids in documents if len(ids) > 2]
    arms: dict[str, dict[int, Replacement]] = {"": {}}
    arms |= {name: {layer: _but_first(one)} for name, one in replacements.items()}
    losses: dict[str, list[NDArray[np.float64]]] = {name: [] for name in arms}
    groups, done = [], 0
    for rows in batches([len(ids) for ids in long], _BUDGET):
        for name, edits in arms.items():
            report(done, len(long), f"predicting · {done:,} of {len(long):,} documents")
            losses[name].append(_losses(model, [long[row] for row in rows], edits))
        groups.append(np.repeat(rows, [len(long[row]) - 2 for row in rows]))
        done += len(rows)
    group = np.concatenate(groups)
    flat = {name: np.concatenate(parts) for name, parts in losses.items()}
    plain = flat.pop("")
    added = {name: bootstrap_mean(one - plain, group, seed=seed) for name, one in flat.items()}
    return SpliceCosts(len(group), bootstrap_mean(plain, group, seed=seed), added)


def _but_first(replacement: "Replacement") -> "Replacement":
    import torch

    def edit(states: torch.Tensor) -> torch.Tensor:
        return torch.cat([states[:, :1], replacement(states[:, 1:]).to(states)], dim=1)

    return edit


def _losses(
    model: "OpenModel", documents: list[list[int]], edits: "dict[int, Replacement]"
) -> NDArray[np.float64]:
    """Return the cross-entropy of every token from the third on, document by document."""
    from torch.nn import functional

    batch = collate(documents, model.tokenizer.pad_token_id or 0)
    logits = step_logits(model, batch, None, edits, keep=0)[:, 1:-1]
    wanted, real = batch["input_ids"][:, 2:], batch["attention_mask"][:, 2:].bool()
    values: NDArray[np.float64] = (
        functional.cross_entropy(logits[real], wanted[real], reduction="none").double().numpy()
    )
    return values
