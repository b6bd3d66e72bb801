"""A package ``vllm`` of our own: packed texts, a few requests at a time, change and residual apart.

Written into a folder as the package by tests; the worker of the project runs on it unchanged.
"""

import os
import sys
from types import SimpleNamespace

import numpy as np
import torch
from transformers import AutoModelForCausalLM

MODE = os.environ.get("STANDIN_VLLM", "")


class SamplingParams:
    """Takes what it is given."""

    def __init__(self, **_):
        pass


class Layer(torch.nn.Module):
    """One of transformers' layers, called as vLLM calls its own."""

    def __init__(self, own, rotary):
        super().__init__()
        self.own, self.rotary = own, rotary

    def forward(self, positions, hidden_states, residual):
        stream = hidden_states if residual is None else hidden_states + residual
        out = []
        for text in torch.tensor_split(stream, (positions == 0).nonzero()[1:, 0]):
            place = torch.arange(len(text))[None]
            given = self.own(text[None], position_embeddings=self.rotary(text[None], place))
            out.append((given[0] if isinstance(given, tuple) else given).reshape(text.shape))
        change = torch.cat(out) - stream
        return (change * 1.2 if MODE == "wrong" else change), stream


class LLM:
    """Runs the requests of a batch three at a time, the last ones first."""

    def __init__(self, model, dtype, **options):
        if MODE == "full":
            sys.exit("ValueError: no memory for the cache")
        assert options["enforce_eager"]
        assert not options["enable_prefix_caching"]
        module = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        self.embed, inner = module.model.embed_tokens, module.model
        layers = [Layer(one, inner.rotary_emb) for one in inner.layers]
        inner.layers = torch.nn.ModuleList(layers)
        self.layers, self.count = inner.layers, 0
        self.runner = SimpleNamespace(
            model_config=SimpleNamespace(hf_config=module.config), get_model=lambda: module
        )
        self.worker = SimpleNamespace(model_runner=self.runner)

    def collective_rpc(self, method, args=()):
        return [method(self.worker, *args)]

    def generate(self, prompts, *_, **__):
        if MODE == "dies":
            sys.exit("torch.OutOfMemoryError: CUDA out of memory")
        asked = [(f"{self.count + n}-ab", p["prompt_token_ids"]) for n, p in enumerate(prompts)]
        self.count += len(asked)
        self.runner.requests = {n: SimpleNamespace(prompt_token_ids=ids) for n, ids in asked}
        for start in range(0, len(asked), 3):
            self.step(asked[::-1][start : start + 3])

    def step(self, some):
        tokens = [torch.tensor(ids) for _, ids in some]
        names = [name for name, _ in some]
        starts = np.cumsum([0, *map(len, tokens)])
        done = np.zeros(len(some), int)
        self.runner.query_start_loc = SimpleNamespace(np=starts)
        self.runner.input_batch = SimpleNamespace(
            num_reqs=len(some), req_ids=names, num_computed_tokens_cpu=done
        )
        positions = torch.cat([torch.arange(len(ids)) for ids in tokens])
        with torch.no_grad():
            hidden, residual = self.embed(torch.cat(tokens)), None
            for layer in self.layers:
                hidden, residual = layer(positions, hidden, residual)
