"""What runs in the Python that has vLLM: reads texts and pools their states where the layers lie.

``python vllm_worker.py FOLDER DTYPE GPUS`` answers on standard output what is asked on standard
input. A question is a line of JSON: ``tokens`` of each text, and ``masks``, for each pooling and
text which of them count, 0 or 1. The answer is a line of JSON, ``shape`` and then so many float32
numbers ``(layers + 1, poolings, texts, width)``, or ``error``. The first line says ``ready``.

Imports nothing of the project: that Python has its own libraries. Functions that run on the workers
of several GPUs are pickled there by value, which stays within processes of this machine.
"""

import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

#: Tokens of a text at most, if the model takes as many.
LONGEST = 2048


class Pooling:
    """Adds up what each layer gives, for each text and pooling, however the texts are scheduled."""

    def __init__(self, runner: Any, layers: Any) -> None:
        """Watch all layers of a model.

        Args:
            runner: vLLM's: it knows which tokens of which requests a step computes.
            layers: Decoder layers, called with positions, hidden states and the residual.
        """
        self.runner, self.layers = runner, layers
        self.sums: Any = None
        layers[0].register_forward_pre_hook(self.before, with_kwargs=True)
        for number, layer in enumerate(layers):
            layer.register_forward_hook(self.after(number))

    def begin(self, tokens: list[list[int]], masks: list[list[list[int]]]) -> None:
        """Expect a batch of texts and forget the last one."""
        self.masks, self.sums = masks, None
        self.rows: dict[str, int] = {}
        self.waiting: dict[tuple[int, ...], deque[int]] = {}
        for row, ids in enumerate(tokens):
            self.waiting.setdefault(tuple(ids), deque()).append(row)

    def before(self, _: Any, args: Any, kwargs: Any) -> None:
        """Find out which tokens of which texts this step computes; pool the embedding."""
        import torch

        hidden = args[1] if len(args) > 1 else kwargs["hidden_states"]
        batch = self.runner.input_batch
        count = batch.num_reqs
        starts = self.runner.query_start_loc.np[: count + 1].tolist()
        done = batch.num_computed_tokens_cpu[:count].tolist()
        texts = [self.row(one) for one in batch.req_ids[:count]]
        self.steps = []
        for masks in self.masks:
            tokens, lengths = [], []
            for place, row in enumerate(texts):
                size = starts[place + 1] - starts[place]
                mask = masks[row][done[place] : done[place] + size]
                own = [starts[place] + number for number, counts in enumerate(mask) if counts]
                tokens += own
                lengths.append(len(own))
            self.steps.append(
                [torch.tensor(one, device=hidden.device) for one in (tokens, lengths)]
            )
        self.texts = torch.tensor(texts, device=hidden.device)
        if self.sums is None:
            shape = (len(self.layers) + 1, len(self.masks), len(self.masks[0]), hidden.shape[-1])
            self.sums = torch.zeros(shape, device=hidden.device)
        self.add(0, hidden)

    def row(self, request: str) -> int:
        """Return which text a request is; equal texts are told apart by their requests."""
        if request not in self.rows:
            tokens = tuple(self.runner.requests[request].prompt_token_ids)
            self.rows[request] = self.waiting[tokens].popleft()
        return self.rows[request]

    def after(self, number: int) -> Any:
        """Return the hook of a layer: its residual stream is the sum of what it gives."""

        def hook(_: Any, __: Any, output: Any) -> None:
            if isinstance(output, tuple):
                hidden, residual = output[0], output[1] if len(output) > 1 else None
                output = hidden if residual is None else hidden + residual
            self.add(number + 1, output)

        return hook

    def add(self, entry: int, hidden: Any) -> None:
        """Add a step's tokens ``(tokens, d)`` to the sums of their texts, in float32."""
        import torch

        for place, (tokens, lengths) in enumerate(self.steps):
            if len(tokens):
                some = hidden[tokens].float()
                sums = torch.segment_reduce(some, "sum", lengths=lengths, initial=0)
                self.sums[entry, place].index_add_(0, self.texts, sums)

    def means(self) -> Any:
        """Return the pooled states of all texts on the CPU: one copy."""
        import torch

        counts = torch.tensor([[sum(mask) for mask in masks] for masks in self.masks])
        return self.sums.cpu() / counts[None, :, :, None]


def watch(worker: Any) -> int:
    """Begin to watch the layers: the outermost list of as many modules as there are layers."""
    from torch import nn

    runner = getattr(worker, "worker", worker).model_runner
    config = runner.model_config.hf_config.get_text_config()
    lists = [
        (path.count("."), module)
        for path, module in runner.get_model().named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers
    ]
    worker.moral_pooling = Pooling(runner, min(lists, key=lambda one: one[0])[1])
    return len(worker.moral_pooling.layers)


def begin(worker: Any, tokens: list[list[int]], masks: list[list[list[int]]]) -> None:
    """Expect a batch on a worker."""
    worker.moral_pooling.begin(tokens, masks)


def means(worker: Any) -> Any:
    """Return a worker's pooled states; all of them hold the same."""
    return worker.moral_pooling.means()


def opened(folder: str, dtype: str, gpus: int) -> Any:
    """Return vLLM's engine on a folder, its layers watched."""
    from vllm import LLM
    from vllm.platforms import current_platform

    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    known = config.get("text_config", config).get("max_position_embeddings", LONGEST)
    # On a CPU, for trials: what vLLM would take is nearly all of the memory.
    memory = {"kv_cache_memory_bytes": 2**31} if current_platform.is_cpu() else {}
    engine = LLM(
        **memory,
        model=folder,
        dtype=dtype,
        tensor_parallel_size=gpus,
        max_model_len=min(LONGEST, int(known)),
        enforce_eager=True,  # compiled layers call no hooks
        enable_prefix_caching=False,  # a text that begins like another would be computed in part
        skip_tokenizer_init=True,
    )
    engine.collective_rpc(watch)
    return engine


def answered(engine: Any, asked: dict[str, Any]) -> Any:
    """Return the pooled states of what was asked."""
    from vllm import SamplingParams

    engine.collective_rpc(begin, args=(asked["tokens"], asked["masks"]))
    engine.generate(
        [{"prompt_token_ids": ids} for ids in asked["tokens"]],
        SamplingParams(max_tokens=1, detokenize=False),
        use_tqdm=False,
    )
    return engine.collective_rpc(means)[0]


def main() -> None:
    """Open the model, then answer until standard input ends."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print must not stand between the answers

    def tell(line: dict[str, Any], content: bytes = b"") -> None:
        channel.write(json.dumps(line).encode() + b"\n" + content)
        channel.flush()

    folder, dtype, gpus = sys.argv[1:]
    engine = opened(folder, dtype, int(gpus))
    tell({"ready": True})
    for line in sys.stdin:
        try:
            states = answered(engine, json.loads(line))
        except Exception as error:  # noqa: BLE001 - it is told to the other side
            tell({"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
        else:
            tell({"shape": list(states.shape)}, states.numpy().tobytes())


if __name__ == "__main__":
    main()
