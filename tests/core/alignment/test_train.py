"""Training repairs what was planted, and nothing where people's vectors are shuffled."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from core.alignment.data import like_latents, moral_latents, strata
from core.alignment.figures import similarity_of_distances
from core.alignment.lessons import Repaired
from core.alignment.spec import OBJECTIVES, AlignmentError, AlignSpec
from core.alignment.splice import Splice, mean_changes, tokens_of
from core.alignment.train import learn, random_patch
from core.runtime.progress import Cancelled
from core.sae.patches import Patch
from tests.core.alignment.alignsets import planted

QUICK = AlignSpec(latents=2, steps=120, batch=96, rate=5e-3, edit=0.1, order=0.1)


def fit(dictionary, latents, data, spec, seed, **more):
    return learn(Repaired(Splice(dictionary, latents), data, spec), seed, **more)


def geometry_of_test_texts(dictionary, data, patch=None):
    """Return the RSA of test texts, after a patch."""
    rows = data.of("test")
    where, owner = tokens_of(data.starts, rows.tolist())
    states = torch.from_numpy(data.states[where])
    moved = torch.zeros_like(states)
    if patch is not None:
        after = patch.applied(dictionary, "after", {})
        moved = after.decode(after.encode(states)) - dictionary.decode(dictionary.encode(states))
    counts = torch.from_numpy(np.diff(data.starts)[rows].astype(np.float32))
    means = mean_changes(states + moved, torch.from_numpy(owner), counts).double().numpy()
    means = (means - means.mean(axis=0)) / data.means[data.of("train")].std(axis=0)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    return similarity_of_distances(unit, data.signed[rows]).value


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_planted_collapse_is_repaired_and_by_shuffled_vectors_it_is_not(objective):
    spec = replace(QUICK, objective=objective)
    better, shuffled = 0, 0
    for seed in range(20):
        dictionary, data, moral = planted(seed)
        before = geometry_of_test_texts(dictionary, data)
        for labels in ("people", "shuffled"):
            taught = data if labels == "people" else data.shuffled(seed)
            trained = fit(dictionary, moral, taught, spec, seed)
            gain = geometry_of_test_texts(dictionary, data, trained.patch) - before
            better += labels == "people" and gain > 0.06
            shuffled += labels == "shuffled" and gain > 0.06
    assert better >= 19
    assert shuffled <= 1


def test_a_seed_gives_the_same_bits_and_validation_chooses():
    dictionary, data, moral = planted()
    one, two = (fit(dictionary, moral, data, QUICK, 3) for _ in range(2))
    assert torch.equal(one.patch.w_dec, two.patch.w_dec)
    assert one.curve == two.curve
    losses = [check.loss for check in one.curve]
    assert losses[one.best] <= min(losses) + QUICK.gain
    assert one.curve[0].size == pytest.approx(0, abs=1e-9)


def test_where_nothing_can_be_gained_the_untouched_stay():
    dictionary, data, moral = planted()
    huge = AlignSpec(latents=2, steps=50, batch=96, edit=900.0, order=0.0, rate=5e-2)
    trained = fit(dictionary, moral, data, huge, 0)
    assert trained.best == 0
    assert torch.equal(trained.patch.w_dec, Patch.of(dictionary, moral).w_dec)


def test_training_can_be_stopped_and_a_loss_that_is_no_number_says_so():
    dictionary, data, moral = planted()

    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        fit(dictionary, moral, data, QUICK, 0, report=stop)
    broken = Repaired(Splice(dictionary, moral), data, QUICK)
    with torch.no_grad():
        broken.changed.weights["w_dec"][0, 0] = float("nan")
    with pytest.raises(AlignmentError, match="no longer a number"):
        learn(broken, 0)


def test_the_latents_that_follow_people_are_found_on_training_texts_alone():
    _, data, _ = planted()
    rng, n = np.random.default_rng(0), len(data.split)
    codes = rng.random((n, 40)) * (rng.random((n, 40)) < 0.5)
    codes[:, 7] = np.maximum(data.signed[:, 2], 0)  # on for loyalty
    codes[:, 11] = np.maximum(-data.signed[:, 4], 0)  # and for degradation
    codes[data.split == "train", 13] = 0
    codes[data.split == "test", 13] = data.signed[data.split == "test", 0]
    found = moral_latents(csr_array(codes), data, 1, 8)
    assert {7, 11} <= set(found)
    assert 13 not in moral_latents(csr_array(codes), data, 39, 8)
    with pytest.raises(AlignmentError, match="No latent is on in 9999"):
        moral_latents(csr_array(codes), data, 2, 9999)
    alike = replace(data, membership=np.full_like(data.membership, 0.5))
    with pytest.raises(AlignmentError, match="the same on all training texts"):
        moral_latents(csr_array(codes), alike, 2, 8)


def test_like_latents_are_others_that_are_on_as_often():
    rng = np.random.default_rng(0)
    densities = 10 ** rng.uniform(-4, -0.5, (400, 2))
    chosen = np.arange(30)
    found = like_latents(chosen, densities, 1)
    assert not set(found) & set(chosen)
    assert len(set(found)) == 30
    wanted, got = np.log10(densities[chosen]), np.log10(densities[found])
    np.testing.assert_allclose(got.mean(axis=0), wanted.mean(axis=0), atol=0.15)
    assert set(like_latents(chosen, densities, 2)) != set(found)
    np.testing.assert_array_equal(like_latents(chosen, densities, 1), found)
    with pytest.raises(AlignmentError, match="cannot be matched"):
        like_latents(np.arange(300), densities, 0)


def test_batches_are_balanced_over_strata():
    _, data, _ = planted(n=600)
    data.membership[:] = 0
    data.membership[:590, 0] = 1.0  # nearly all are care, a few harm
    data.membership[590:, 1] = 0.5
    data.foundation[:] = 0
    data.split[:] = "train"
    kinds = strata(data, np.arange(600))
    assert sorted(np.bincount(kinds)) == [10, 590]


def test_noise_moves_each_latent_as_far_as_training_did():
    dictionary, _, moral = planted()
    start = Patch.of(dictionary, moral)
    splice = Splice(dictionary, moral)
    with torch.no_grad():
        for one in splice.weights.values():
            one += torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    trained = splice.patch()
    noise = random_patch(trained, start, 5)
    for name, dim in (("w_enc", 0), ("b_enc", 0), ("w_dec", 1)):
        far = [
            (getattr(one, name) - getattr(start, name)).norm(dim=dim) for one in (trained, noise)
        ]
        torch.testing.assert_close(*far, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(noise.w_dec, trained.w_dec)


@pytest.mark.parametrize("name", ["steps", "batch", "latents", "rate", "order"])
def test_an_impossible_spec_is_refused(name):
    with pytest.raises(AlignmentError, match=name):
        AlignSpec(**{name: -1})
