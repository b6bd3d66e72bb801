"""What an aligned dictionary adds to states, as a function of the few latents that are trained.

It equals ``after(x) - before(x)`` of the whole dictionaries. All that does not depend on the
trained latents is computed once: for TopK the strongest of the others, among which the trained ones
have to make their way at each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from core.sae.dictionary import Dictionary
from core.sae.patches import Patch

_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Spliced:
    """Tokens' states and all that a splice needs of them."""

    states: torch.Tensor
    """Float32 ``(tokens, d)``."""

    before: torch.Tensor
    """What trained latents and those that compete with them wrote before, ``(tokens, d)``."""

    rivals: tuple[torch.Tensor, torch.Tensor] | None
    """TopK: strengths and numbers of the strongest other latents, falling, each ``(tokens, k)``."""

    def take(self, rows: torch.Tensor) -> "Spliced":
        """Return some of the tokens."""
        rivals = None if self.rivals is None else (self.rivals[0][rows], self.rivals[1][rows])
        return Spliced(self.states[rows], self.before[rows], rivals)


class Splice:
    """The trained latents of a dictionary; calling it gives the change of states."""

    def __init__(self, dictionary: Dictionary, latents: NDArray[np.int64]) -> None:
        """Start from a dictionary as it is.

        Args:
            dictionary: Before.
            latents: Which are trained, without repeats.
        """
        self._dictionary, self._rows = dictionary, torch.from_numpy(latents)
        start = Patch.of(dictionary, latents)
        self.weights: dict[str, torch.Tensor] = {
            "w_enc": start.w_enc.requires_grad_(),
            "b_enc": start.b_enc.requires_grad_(),
            "w_dec": start.w_dec.requires_grad_(),
        }
        """What is trained: ``(d, m)``, ``(m,)`` and ``(m, d)``."""
        self._start = {name: one.detach().clone() for name, one in self.weights.items()}

    def prepare(self, states: torch.Tensor) -> Spliced:
        """Compute once what the trained latents do not touch.

        Args:
            states: Float32 ``(tokens, d)``.
        """
        parts = [self._prepared(states[at : at + _BLOCK]) for at in range(0, len(states), _BLOCK)]
        rivals = None
        if parts[0].rivals is not None:
            both = zip(*(part.rivals for part in parts if part.rivals is not None), strict=True)
            values, numbers = (torch.cat(one) for one in both)
            rivals = (values, numbers)
        return Spliced(states, torch.cat([part.before for part in parts]), rivals)

    def _prepared(self, states: torch.Tensor) -> Spliced:
        one = self._dictionary
        with torch.no_grad():
            codes = one.encode(states)
            if one.info.k is None:
                return Spliced(states, codes[:, self._rows] @ one.w_dec[self._rows], None)
            before = self._inputs(states) @ one.w_enc + one.b_enc
            others = torch.relu(before)
            others[:, self._rows] = 0
            best = others.topk(min(one.info.k, others.shape[1]), dim=1)
            return Spliced(states, codes @ one.w_dec, (best.values, best.indices))

    def _inputs(self, states: torch.Tensor) -> torch.Tensor:
        one = self._dictionary
        return states - one.b_dec if one.info.centred else states

    def change(self, tokens: Spliced) -> torch.Tensor:
        """Return ``after(x) - before(x)``, ``(tokens, d)``, with gradients of the weights."""
        one, weights = self._dictionary, self.weights
        own = self._inputs(tokens.states) @ weights["w_enc"] + weights["b_enc"]
        codes = torch.relu(own)
        if tokens.rivals is None:
            if one.threshold is not None:
                codes = codes * (own > one.threshold[self._rows])
            return codes @ weights["w_dec"] - tokens.before
        values, numbers = tokens.rivals
        k = values.shape[1]
        with torch.no_grad():
            least = torch.cat([codes, values], dim=1).topk(k, dim=1).values[:, -1:]
            beside = functional.embedding_bag(
                numbers, one.w_dec, per_sample_weights=values * (values >= least), mode="sum"
            )
        return (codes * (codes >= least)) @ weights["w_dec"] + beside - tokens.before

    def strayed(self) -> torch.Tensor:
        """Return the squared distance from the starting weights, relative to their length."""
        far = [(one - self._start[name]).square().sum() for name, one in self.weights.items()]
        long = [one.square().sum() for one in self._start.values()]
        return torch.stack(far).sum() / torch.stack(long).sum()

    def patch(self) -> Patch:
        """Return the latents as they are now."""
        now = {name: one.detach().clone() for name, one in self.weights.items()}
        return Patch(self._rows.numpy().copy(), now["w_enc"], now["b_enc"], now["w_dec"])

    def put(self, patch: Patch) -> None:
        """Set the latents to what a patch says."""
        with torch.no_grad():
            for name, one in self.weights.items():
                one.copy_(getattr(patch, name))


def mean_changes(change: torch.Tensor, owner: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return each text's mean over its tokens' changes, ``(texts, d)``.

    Args:
        change: Shape ``(tokens, d)``.
        owner: Text of each token, ``(tokens,)``.
        counts: Tokens of each text, ``(texts,)``.
    """
    total = change.new_zeros(len(counts), change.shape[1]).index_add(0, owner, change)
    return total / counts[:, None]


def tokens_of(starts: NDArray[np.int64], texts: Sequence[int]) -> tuple[NDArray[np.int64], ...]:
    """Return the tokens of some texts, one text after the other, and the place of each's text.

    Args:
        starts: First token of each text, and the end; shape ``(n + 1,)``.
        texts: Which.
    """
    spans = [np.arange(starts[one], starts[one + 1]) for one in texts]
    owner = np.repeat(np.arange(len(spans)), [len(span) for span in spans])
    return np.concatenate(spans), owner
