"""LoReFT is its formula, and the dictionary that it is told as writes exactly the same."""

from dataclasses import replace

import numpy as np
import torch

from core.alignment.lessons import Repaired
from core.alignment.lowrank import LowRank
from core.alignment.spec import AlignSpec
from core.alignment.train import learn
from core.models.card import describe
from core.sae.patches import KIND, nothing_before, open_patch, save_patch
from core.sae.shelf import open_dictionary
from tests.core.alignment.alignsets import planted
from tests.core.sae.saesets import made_dictionary

QUICK = AlignSpec(steps=60, batch=96, rate=5e-3, edit=0.1, order=0.1)


def moved(seed=0):
    """Return a change of rank 3 of states of 12 coordinates, away from its start, and states."""
    base = made_dictionary(48, k=5, d_model=12)
    states = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    low = LowRank(base, states.numpy(), seed, rank=3)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for one in low.weights.values():
            one += 0.3 * torch.randn(one.shape, generator=generator)
        low.settle()
    return base, low, states


def test_untouched_it_adds_nothing_and_its_rows_stay_orthonormal():
    base = made_dictionary(48, k=5, d_model=12)
    states = torch.randn(40, 12)
    low = LowRank(base, states.numpy(), 0)
    assert torch.equal(low.change(low.prepare(states)), torch.zeros(40, 12))
    _, low, _ = moved()
    rows = low.weights["r"].detach()
    torch.testing.assert_close(rows @ rows.T, torch.eye(3), atol=1e-6, rtol=0)


def test_a_change_is_its_formula_and_that_of_two_relu_latents_per_rank():
    base, low, states = moved()
    r, w, b = (low.weights[name].detach() for name in "rwb")
    unit = float(states.square().mean().sqrt())
    expected = torch.stack([r.T @ (w @ x + unit * b - r @ x) for x in states])
    found = low.change(low.prepare(states)).detach()
    torch.testing.assert_close(found, expected)
    after = low.patch().applied(low.before, "after", {})
    whole = after.decode(after.encode(states)) - low.before.decode(low.before.encode(states))
    torch.testing.assert_close(whole, expected)
    assert (after.n_latents, after.info.layer) == (6, base.info.layer)


def test_it_is_found_by_its_digest_and_so_is_the_empty_one_before(store, llama_spec):
    card = describe(llama_spec, store)
    base = made_dictionary(48, model=card.identity)
    low = LowRank(base, np.ones((4, base.d_model), np.float32), 0)
    with torch.no_grad():
        low.weights["w"] += 1
    patch = low.patch()
    after = patch.applied(low.before, "after", {})
    with store.writing(KIND, {"model": card.identity}) as folder:
        save_patch(patch, after, low.before, folder)
    folder = store.folder(KIND, {"model": card.identity})
    again = nothing_before(folder)
    assert again is not None
    assert again.digest == low.before.digest
    assert open_patch(folder, again).digest == after.digest
    assert open_dictionary(store, card, after.digest[:16]).digest == after.digest
    assert open_dictionary(store, card, low.before.digest[:16]).digest == low.before.digest
    assert again.info.model == card.identity


def test_it_learns_what_was_planted():
    dictionary, data, _ = planted()
    spec = replace(QUICK, rate=2e-2)
    trained = learn(Repaired(LowRank(dictionary, data.states, 0), data, spec), 0)
    assert trained.best > 0
    assert trained.curve[trained.best].geometry > trained.curve[0].geometry + 0.1
    assert trained.curve[0].size == 0
