"""LoReFT: a change of low rank, ``x + Rᵀ(Wx + b − Rx)``, told as a dictionary of ReLU latents.

Wu et al. 2024, https://arxiv.org/abs/2404.03592. The rows of ``R`` are orthonormal. Since a number
is the difference of its two halves, ``y = relu(y) - relu(-y)``, the change is what a dictionary of
two latents per rank writes, exactly; before there was an empty one, which writes nothing.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from core.alignment.splice import Change, Spliced
from core.sae.dictionary import Dictionary
from core.sae.patches import Patch, nothing

RANK: Final = 5


class LowRank(Change):
    """A change of low rank; untouched, ``W`` is ``R`` and it adds nothing."""

    pace = 0.3

    def __init__(
        self, base: Dictionary, states: NDArray[np.float32], seed: int, *, rank: int = RANK
    ) -> None:
        """Draw the subspace.

        Args:
            base: A dictionary of the layer: its width, layer and device are taken.
            states: Tokens' states that tell the unit of the bias, ``(tokens, d)``.
            seed: Of the subspace.
            rank: Its dimensions.
        """
        rng = torch.Generator().manual_seed(seed)
        drawn = torch.randn(base.d_model, rank, generator=rng, device="cpu")
        rows = torch.linalg.qr(drawn).Q.T.contiguous().to(base.w_dec.device)
        # A coordinate of a subspace is about as large as one of a state: so is a bias of 1.
        self._unit = float(np.sqrt(np.square(states, dtype=np.float64).mean()))
        super().__init__({"r": rows, "w": rows, "b": rows.new_zeros(rank)})
        self.before = nothing(base.info, base.d_model, 2 * rank).to(base.w_dec.device)

    def prepare(self, states: torch.Tensor) -> Spliced:
        """Return the states: nothing was written before, so all of them was missed."""
        return Spliced(states, states.new_zeros(len(states), 1), None, states)

    def change(self, tokens: Spliced) -> torch.Tensor:
        """Return what is added, ``(tokens, d)``, with gradients of the weights."""
        r, w, b = (self.weights[name] for name in "rwb")
        return (tokens.states @ (w - r).T + self._unit * b) @ r

    def settle(self) -> None:
        """Make the rows of the subspace orthonormal again."""
        q, upper = torch.linalg.qr(self.weights["r"].T)
        self.weights["r"].copy_((q * upper.diagonal().sign()).T)

    def patch(self) -> Patch:
        """Return the latents of the dictionary that writes the change, on the CPU."""
        r, w, b = (self.copy()[name].cpu() for name in "rwb")
        one_way, bias = (w - r).T, self._unit * b
        return Patch(
            np.arange(2 * len(r)),
            torch.cat([one_way, -one_way], dim=1),
            torch.cat([bias, -bias]),
            torch.cat([r, -r]),
        )
