"""What an aligned dictionary adds to states, as a function of the few latents that are trained.

It equals ``after(x) - before(x)`` of the whole dictionaries. All that does not depend on the
trained latents is computed once: for TopK the strongest of the others, among which the trained ones
have to make their way at each step. Everything lies on the device of the dictionary.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
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

    missed: torch.Tensor
    """What the dictionary before does not reconstruct, ``(tokens, d)``."""

    def take(self, rows: torch.Tensor) -> "Spliced":
        """Return some of the tokens."""
        rivals = None if self.rivals is None else (self.rivals[0][rows], self.rivals[1][rows])
        return Spliced(self.states[rows], self.before[rows], rivals, self.missed[rows])


class Change(ABC):
    """Weights that are trained, and what they add to states: ``after(x) - before(x)``."""

    before: Dictionary
    """What the change is counted from."""

    pace: float = 1.0
    """How fast it learns, relative to a spec's rate."""

    def __init__(self, start: Mapping[str, torch.Tensor]) -> None:
        """Start from weights in float32; they are copied."""
        self.weights = {name: one.clone().requires_grad_() for name, one in start.items()}
        """What is trained."""
        self._start = {name: one.detach().clone() for name, one in start.items()}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.before.w_dec.device

    @abstractmethod
    def prepare(self, states: torch.Tensor) -> Spliced:
        """Compute once what the weights do not touch.

        Args:
            states: Float32 ``(tokens, d)``, on the device.
        """

    @abstractmethod
    def change(self, tokens: Spliced) -> torch.Tensor:
        """Return what is added, ``(tokens, d)``, with gradients of the weights."""

    @abstractmethod
    def patch(self) -> Patch:
        """Return what becomes of ``before``, on the CPU."""

    def settle(self) -> None:  # noqa: B027 - most have nothing to hold
        """Bring the weights back to where they may be, after each step."""

    def strayed(self) -> torch.Tensor:
        """Return the squared distance from the starting weights, relative to their length."""
        far = [(one - self._start[name]).square().sum() for name, one in self.weights.items()]
        long = [one.square().sum() for one in self._start.values()]
        return torch.stack(far).sum() / torch.stack(long).sum()

    def copy(self) -> dict[str, torch.Tensor]:
        """Return the weights as they are now."""
        return {name: one.detach().clone() for name, one in self.weights.items()}

    def put(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Set the weights."""
        with torch.no_grad():
            for name, one in self.weights.items():
                one.copy_(weights[name])


class Splice(Change):
    """The trained latents of a dictionary."""

    def __init__(
        self, dictionary: Dictionary, latents: NDArray[np.int64], *, unit: bool = False
    ) -> None:
        """Start from a dictionary as it is.

        Args:
            dictionary: Before.
            latents: Which are trained, without repeats.
            unit: Whether their directions are brought to length 1 after each step.
        """
        start = Patch.of(dictionary, latents)
        super().__init__({"w_enc": start.w_enc, "b_enc": start.b_enc, "w_dec": start.w_dec})
        self.before, self._unit = dictionary, unit
        self._rows = torch.from_numpy(latents).to(dictionary.w_dec.device)

    def prepare(self, states: torch.Tensor) -> Spliced:
        """Compute once what the trained latents do not touch."""
        parts = [self._prepared(states[at : at + _BLOCK]) for at in range(0, len(states), _BLOCK)]
        rivals = None
        if parts[0].rivals is not None:
            both = zip(*(part.rivals for part in parts if part.rivals is not None), strict=True)
            values, numbers = (torch.cat(one) for one in both)
            rivals = (values, numbers)
        before, missed = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("before", "missed")
        )
        return Spliced(states, before, rivals, missed)

    def _prepared(self, states: torch.Tensor) -> Spliced:
        one = self.before
        with torch.no_grad():
            codes = one.encode(states)
            written = codes @ one.w_dec
            missed = states - one.b_dec - written
            if one.info.k is None:
                own = codes[:, self._rows] @ one.w_dec[self._rows]
                return Spliced(states, own, None, missed)
            others = torch.relu(self._inputs(states) @ one.w_enc + one.b_enc)
            others[:, self._rows] = 0
            best = others.topk(min(one.info.k, others.shape[1]), dim=1)
            return Spliced(states, written, (best.values, best.indices), missed)

    def _inputs(self, states: torch.Tensor) -> torch.Tensor:
        one = self.before
        return states - one.b_dec if one.info.centred else states

    def codes(self, tokens: Spliced) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return how strongly trained latents are on, and for TopK those of the others still on.

        Returns:
            ``(tokens, m)`` with gradients, and ``(tokens, k)`` without.
        """
        own = self._inputs(tokens.states) @ self.weights["w_enc"] + self.weights["b_enc"]
        codes = torch.relu(own)
        if tokens.rivals is None:
            threshold = self.before.threshold
            return codes if threshold is None else codes * (own > threshold[self._rows]), None
        values = tokens.rivals[0]
        with torch.no_grad():
            strongest = torch.cat([codes, values], dim=1).topk(values.shape[1], dim=1).values
        least = strongest[:, -1:]
        return codes * (codes >= least), values * (values >= least)

    def written(
        self, tokens: Spliced, codes: torch.Tensor, others: torch.Tensor | None
    ) -> torch.Tensor:
        """Return what codes write less what was written before, ``(tokens, d)``."""
        total = codes @ self.weights["w_dec"] - tokens.before
        if tokens.rivals is None or others is None:
            return total
        with torch.no_grad():
            beside = functional.embedding_bag(
                tokens.rivals[1], self.before.w_dec, per_sample_weights=others, mode="sum"
            )
        return total + beside

    def change(self, tokens: Spliced) -> torch.Tensor:
        """Return ``after(x) - before(x)``, ``(tokens, d)``, with gradients of the weights."""
        return self.written(tokens, *self.codes(tokens))

    def settle(self) -> None:
        """Bring directions to length 1 where that is asked for."""
        if self._unit:
            functional.normalize(self.weights["w_dec"], dim=1, out=self.weights["w_dec"])

    def patch(self) -> Patch:
        """Return the latents as they are now, on the CPU."""
        now = {name: one.cpu() for name, one in self.copy().items()}
        return Patch(self._rows.cpu().numpy().copy(), now["w_enc"], now["b_enc"], now["w_dec"])


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
