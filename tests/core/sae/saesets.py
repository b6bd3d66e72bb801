"""What tests of dictionaries share: made dictionaries of the tiny models' width."""

import torch

from core.sae.dictionary import Dictionary, DictionaryInfo
from tests.conftest import TINY_WIDTH


def made_dictionary(n_latents=64, *, k=4, layer=1, model="", seed=0, d_model=TINY_WIDTH):
    """Return a random TopK dictionary with unit decoder rows, encoder its transpose."""
    generator = torch.Generator().manual_seed(seed)
    w_dec = torch.randn(n_latents, d_model, generator=generator)
    w_dec /= w_dec.norm(dim=1, keepdim=True)
    info = DictionaryInfo(f"made {seed}", layer, "topk", k, centred=True, model=model)
    b_dec = torch.randn(d_model, generator=generator) / 10
    return Dictionary(info, w_dec.T.contiguous(), torch.zeros(n_latents), w_dec, b_dec)
