"""Every nnsight trace of the project but the one that proves a model, and nothing else.

nnsight compiles the source of a trace once per file and line and keeps it for the life of the
process, so traces live together in one rarely edited module. Each runs under the model's lock,
because nnsight is not thread-safe, and without gradients, because grad mode is per thread.
"""

from typing import TYPE_CHECKING, Any

from core import CoreError
from core.activations.finite import check_finite
from core.activations.prompts import Pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from core.models.open_models import OpenModel


def _check_here(model: "OpenModel") -> None:
    """Refuse a model that runs elsewhere: its weights are not here.

    Raises:
        CoreError: It does.
    """
    spec = model.card.spec
    if spec.elsewhere:
        where, what = ("on a server", "remote") if spec.remote else ("in vLLM", "backend")
        raise CoreError(
            f"{model.card.name} runs {where}, which only reads texts for maps and figures. "
            f"Leave {what} out, or choose a model that fits here, to steer it or look at its "
            "tokens."
        )


def _pool(hidden: Any, masks: "dict[Pooling, torch.Tensor]") -> "list[torch.Tensor]":
    """Average the selected tokens in float32.

    Args:
        hidden: Residual stream ``(batch, tokens, d_model)``, or a tuple that begins with it.
        masks: For each pooling, which tokens count, bool ``(batch, tokens)``, at least one per row.

    Returns:
        One ``(batch, d_model)`` float32 tensor per pooling, in the order of ``masks``.
    """
    states = (hidden[0] if isinstance(hidden, tuple) else hidden).float()
    pooled = []
    for mask in masks.values():
        here = mask.to(states.device)[..., None]
        # Not a product: some attention kernels leave NaN at padding, and NaN * 0 is NaN.
        total = states.masked_fill(~here, 0.0).sum(dim=1)
        pooled.append(total / here.sum(dim=1))
    return pooled


def _brought(pooled: "list[torch.Tensor]") -> "torch.Tensor":
    """Return tensors of one shape stacked on the CPU: one copy from each device that holds some."""
    import torch

    places: dict[Any, list[int]] = {}
    for number, one in enumerate(pooled):
        places.setdefault(one.device, []).append(number)
    found = torch.empty((len(pooled), *pooled[0].shape))
    for numbers in places.values():
        found[numbers] = torch.stack([pooled[number] for number in numbers]).cpu()
    return found


def pooled_states(
    model: "OpenModel",
    batch: "dict[str, torch.Tensor]",
    masks: "dict[Pooling, torch.Tensor]",
    edits: "Mapping[int, Callable[[torch.Tensor], torch.Tensor]] | None" = None,
) -> "torch.Tensor":
    """Run one batch through the decoder and pool every layer's residual stream.

    The vocabulary head is not run: the trace stops after the last layer.

    Args:
        model: An open model.
        batch: ``input_ids``, ``attention_mask`` and ``position_ids``, each ``(batch, tokens)``.
        masks: For each pooling, which tokens count, bool ``(batch, tokens)``.
        edits: Layer -> what is done to its output ``(batch, tokens, d_model)`` before it is pooled
            and read on; None: nothing.

    Returns:
        Float32 on the CPU, shape ``(n_layers + 1, n_poolings, batch, d_model)``. Entry 0 is the
        embedding output (what layer 0 reads), entry ``k + 1`` the output of layer ``k``; the last
        one is before the final norm, unlike the last of transformers' ``hidden_states``.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    masks = {name: mask.to(model.module.device) for name, mask in masks.items()}  # not per layer
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace(batch) as tracer:  # pragma: no cover - runs under nnsight's own frame
            saved.append(_pool(layers[0].input, masks))
            for number, layer in enumerate(layers):
                output = layer.output
                if edits is not None and number in edits:
                    output = _edited(output, edits[number])
                    layer.output = output
                saved.append(_pool(output, masks))
            tracer.stop()
    together = _brought([one for pooled in saved for one in pooled])
    return together.reshape(len(saved), len(masks), *together.shape[1:])


def remote_pooled_states(
    model: "OpenModel", batch: "dict[str, torch.Tensor]", masks: "list[torch.Tensor]", backend: Any
) -> None:
    """Send a batch to where a remote model runs; its states are pooled there, as ``pooled_states``.

    The block names nothing of this project: the far side has none of its files.

    Args:
        model: A remote model.
        batch: ``input_ids``, ``attention_mask`` and ``position_ids``, each ``(batch, tokens)``.
        masks: For each pooling, which tokens count, bool ``(batch, tokens)``.
        backend: Sends the block; asked later, it gives ``pooled``, float32
            ``(n_layers + 1, n_poolings, batch, d_model)``.
    """
    import torch

    layers = model.lm.get(model.layers)
    with model.lock, torch.no_grad():
        with model.lm.trace(batch, backend=backend) as tracer:  # pragma: no cover - runs elsewhere
            with torch.no_grad():
                found = []
                for number in range(len(layers) + 1):
                    hidden = layers[0].input if number == 0 else layers[number - 1].output
                    states = (hidden[0] if isinstance(hidden, tuple) else hidden).float()
                    for mask in masks:
                        here = mask.to(states.device)[..., None]
                        total = states.masked_fill(~here, 0.0).sum(dim=1)
                        found.append((total / here.sum(dim=1)).cpu())
            pooled: Any = torch.stack(found).reshape(-1, len(masks), *found[0].shape)
            pooled.save()
            tracer.stop()


def step_logits(
    model: "OpenModel",
    batch: "dict[str, torch.Tensor]",
    cache: Any,
    edits: "Mapping[int, Callable[[torch.Tensor], torch.Tensor]]",
    keep: int = 1,
) -> "torch.Tensor":
    """Run one step of a batch, the residual stream edited after some layers.

    Args:
        model: An open model.
        batch: ``input_ids`` and ``position_ids`` ``(batch, tokens)`` of the new tokens, and the
            ``attention_mask`` of all tokens so far.
        cache: transformers' cache of keys and values, filled further; None: nothing is kept.
        edits: Layer -> what is done to its output ``(batch, tokens, d_model)``.
        keep: Positions at the end whose logits are wanted; 0: all.

    Returns:
        Float32 logits on the CPU, shape ``(batch, keep, vocabulary)``.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    inputs = {**batch, "use_cache": cache is not None, "logits_to_keep": _kept(keep)}
    if cache is not None:
        inputs["cache"] = cache
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace(**inputs):  # pragma: no cover - runs under nnsight's own frame
            for number in sorted(edits):
                hidden = layers[number].output
                if isinstance(hidden, tuple):
                    layers[number].output = (edits[number](hidden[0]), *hidden[1:])
                else:
                    layers[number].output = edits[number](hidden)
            saved.append(model.lm.output.logits)
    result: torch.Tensor = saved[0].float().cpu()
    return result


def held_logits(
    model: "OpenModel", batch: "dict[str, torch.Tensor]", layer: int, keep: int = 1
) -> "tuple[torch.Tensor, Any]":
    """Run a batch without edits and keep what one layer gives.

    Args:
        model: An open model.
        batch: ``input_ids``, ``attention_mask`` and ``position_ids``, each ``(batch, tokens)``.
        layer: Decoder layer.
        keep: Positions at the end whose logits are wanted; 0: all.

    Returns:
        Float32 logits on the CPU, ``(batch, keep, vocabulary)``; and the layer's output as the
        model has it: ``(batch, tokens, d_model)``, or a tuple that begins with it.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    inputs = {**batch, "use_cache": False, "logits_to_keep": _kept(keep)}
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace(**inputs):  # pragma: no cover - runs under nnsight's own frame
            saved.append(layers[layer].output)
            saved.append(model.lm.output.logits)
    output, logits = saved
    return logits.float().cpu(), output


def held_output(model: "OpenModel", batch: "dict[str, torch.Tensor]", layer: int) -> Any:
    """Run a batch without edits up to one layer and return what that gives.

    Args:
        model: An open model.
        batch: ``input_ids``, ``attention_mask`` and ``position_ids``, each ``(batch, tokens)``.
        layer: Decoder layer; those above it are not run.

    Returns:
        As ``held_logits`` keeps it.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace({**batch, "use_cache": False}) as tracer:  # pragma: no cover
            saved.append(layers[layer].output)
            tracer.stop()
    return saved[0]


def resumed_logits(
    model: "OpenModel",
    batch: "dict[str, torch.Tensor]",
    layer: int,
    output: Any,
    edits: "Mapping[int, Callable[[torch.Tensor], torch.Tensor]]",
    keep: int = 1,
) -> "torch.Tensor":
    """Run a batch from one layer's known output on; the layers up to it are skipped.

    Args:
        model: An open model.
        batch: As for ``held_logits``.
        layer: Decoder layer.
        output: What ``held_logits`` kept of it.
        edits: Layer, not below ``layer`` -> what is done to its output.
        keep: Positions at the end whose logits are wanted; 0: all.

    Returns:
        Float32 logits on the CPU, shape ``(batch, keep, vocabulary)``.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    inputs = {**batch, "use_cache": False, "logits_to_keep": _kept(keep)}
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        start = _edited(output, edits.get(layer))
        with model.lm.trace(**inputs):  # pragma: no cover - runs under nnsight's own frame
            for number in range(layer + 1):
                layers[number].skip(start)
            for number in sorted(set(edits) - {layer}):
                layers[number].output = _edited(layers[number].output, edits[number])
            saved.append(model.lm.output.logits)
    result: torch.Tensor = saved[0].float().cpu()
    return result


def resumed_states(
    model: "OpenModel",
    batch: "dict[str, torch.Tensor]",
    layer: int,
    output: Any,
    upto: int,
    masks: "dict[Pooling, torch.Tensor]",
    edits: "Mapping[int, Callable[[torch.Tensor], torch.Tensor]]",
) -> "torch.Tensor":
    """Run a batch from one layer's known output to a later layer and pool what that one gives.

    Args:
        model: An open model.
        batch: As for ``held_logits``.
        layer: Decoder layer.
        output: What ``held_logits`` kept of it.
        upto: Decoder layer, not below ``layer``; those above it are not run.
        masks: For each pooling, which tokens count, bool ``(batch, tokens)``.
        edits: Layer, not below ``layer`` -> what is done to its output.

    Returns:
        Float32 on the CPU, shape ``(n_poolings, batch, d_model)``.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    start = _edited(output, edits.get(layer))
    if upto == layer:
        return torch.stack(_pool(start, masks)).cpu()
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace({**batch, "use_cache": False}) as tracer:  # pragma: no cover
            for number in range(layer + 1):
                layers[number].skip(start)
            for number in range(layer + 1, upto + 1):
                if number in edits:
                    layers[number].output = _edited(layers[number].output, edits[number])
            saved.append(_pool(layers[upto].output, masks))
            tracer.stop()
    return torch.stack(saved[0]).cpu()


def _kept(keep: int) -> Any:
    """Return which positions a head reads; a place, not a slice, copies a single one.

    As a slice it stays a view, for which torch multiplies row by row: over 262,000 words and 48
    rows that takes ten times as long.
    """
    import torch

    return torch.tensor([-1]) if keep == 1 else keep


def _edited(output: Any, edit: "Callable[[torch.Tensor], torch.Tensor] | None") -> Any:
    """Return a layer's output with its residual stream edited."""
    if edit is None:
        return output
    return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)


def token_states(
    model: "OpenModel", batch: "dict[str, torch.Tensor]", layer: int
) -> "torch.Tensor":
    """Return a layer's residual stream at every token, float32 on the CPU ``(batch, tokens, d)``.

    Args:
        model: An open model.
        batch: ``input_ids``, ``attention_mask`` and ``position_ids``, each ``(batch, tokens)``.
        layer: Decoder layer.

    Raises:
        CoreError: A state is NaN or infinite; padding does not count.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace(batch) as tracer:  # pragma: no cover - runs under nnsight's own frame
            hidden = layers[layer].output
            saved.append(hidden[0] if isinstance(hidden, tuple) else hidden)
            tracer.stop()
    result: torch.Tensor = saved[0].float().cpu()
    real = batch["attention_mask"].bool().cpu()
    finite = (result.isfinite().all(dim=2) | ~real).all(dim=1)[None]
    texts = [ids[own].tolist() for ids, own in zip(batch["input_ids"].cpu(), real, strict=True)]
    check_finite(model, finite, [layer], texts)
    return result


def state_scores(
    model: "OpenModel", ids: list[int], layer: int, *, draws: int, seed: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return a text's states at a layer, and how the likelihood of what follows hangs on them.

    After each token a word is drawn from the model itself; the gradient of the log likelihood of
    all of them with respect to the states is one score.

    Args:
        model: An open model.
        ids: Tokens of the text, two or more.
        layer: Decoder layer.
        draws: Scores.
        seed: Seed of the words.

    Returns:
        Float32 on the CPU: states ``(tokens, d)`` and scores ``(draws, tokens, d)``. The first
        token's words are left out: its state is never changed.
    """
    import torch

    _check_here(model)
    layers = model.lm.get(model.layers)
    device = model.module.device
    batch = {
        "input_ids": torch.tensor([ids], device=device),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.int64, device=device),
        "position_ids": torch.arange(len(ids), device=device)[None],
    }
    saved: list[Any] = []
    with model.lock, torch.enable_grad():
        with model.lm.trace(**batch, use_cache=False):  # pragma: no cover - nnsight's own frame
            output = layers[layer].output
            leaf = (output[0] if isinstance(output, tuple) else output).detach().requires_grad_()
            layers[layer].output = (leaf, *output[1:]) if isinstance(output, tuple) else leaf
            saved.append(leaf)
            saved.append(model.lm.output.logits)
        state, logits = saved
        logs = torch.log_softmax(logits[0, 1:].float(), dim=1)
        rng = torch.Generator().manual_seed(seed)
        words = torch.multinomial(logs.detach().exp().cpu(), draws, replacement=True, generator=rng)
        likelihood = logs.gather(1, words.to(logs.device)).sum(dim=0)
        scores = [
            torch.autograd.grad(one, state, retain_graph=number + 1 < draws)[0][0]
            for number, one in enumerate(likelihood)
        ]
    return state[0].detach().float().cpu(), torch.stack(scores).float().cpu()
