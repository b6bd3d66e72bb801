"""What reads a batch: transformers through nnsight here or on a server, or vLLM beside us.

All give the same and pass the same gate before a model is handed out (``models/states_check``); of
a model on a server, whose weights are not here, nothing is proven.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from core.activations import remote
from core.activations.prompts import Pooling
from core.activations.traces import pooled_states
from core.runtime.progress import Report

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

    Edits = Mapping[int, Callable[[torch.Tensor], torch.Tensor]]


class Backend(Protocol):
    """Gives the pooled states of one padded batch."""

    def __call__(
        self,
        model: "OpenModel",
        batch: "dict[str, torch.Tensor]",
        masks: "dict[Pooling, torch.Tensor]",
        report: Report,
    ) -> "torch.Tensor":
        """Read a batch.

        Args:
            model: An open model.
            batch: ``input_ids``, ``attention_mask``, ``position_ids``, each ``(batch, tokens)``.
            masks: For each pooling, which tokens count, bool ``(batch, tokens)``.
            report: Told what happens meanwhile; raises to stop.

        Returns:
            Float32 on the CPU, ``(n_layers + 1, n_poolings, batch, d_model)``; entry 0 is the
            embedding output.
        """
        ...


def backend_of(model: "OpenModel", edits: "Edits | None" = None) -> Backend:
    """Return what reads a model.

    Args:
        model: An open model.
        edits: Layer -> what is done to its output meanwhile; only where this process reads.

    Raises:
        CoreError: There are edits, and the weights are not here.
    """
    if edits is None and model.card.spec.remote:
        return remote.pooled_states
    if edits is None and model.served is not None:
        return _served
    return lambda model, batch, masks, _: pooled_states(model, batch, masks, edits)


def _served(
    model: "OpenModel",
    batch: "dict[str, torch.Tensor]",
    masks: "dict[Pooling, torch.Tensor]",
    report: Report,
) -> "torch.Tensor":
    """Let vLLM read a batch: it takes texts without padding."""
    import torch

    if model.served is None:
        raise ValueError("this model is not in vLLM")
    real = batch["attention_mask"].bool()
    tokens = [ids[own].tolist() for ids, own in zip(batch["input_ids"], real, strict=True)]
    counted = [
        [row[own].int().tolist() for row, own in zip(mask, real, strict=True)]
        for mask in masks.values()
    ]
    with model.lock:  # one question at a time
        return torch.tensor(model.served.pooled(tokens, counted, report))
