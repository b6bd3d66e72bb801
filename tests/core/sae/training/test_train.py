"""Training a dictionary: planted directions, pause and resume, revival, folding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.runtime.progress import Cancelled
from core.sae.dictionary import DictionaryInfo
from core.sae.training.spec import TrainingError, TrainSpec, paper_spec
from core.sae.training.token_states import TokenStates
from core.sae.training.train import Training, train

ABOUT = DictionaryInfo("planted", 0, "relu", model="m")
D, PLANTED, TOKENS = 32, 64, 12_000
SPEC = TrainSpec(width=96, k=4, batch=256, epochs=10, lr=3e-3, dead_after=4000, aux_k=16)
SHORT = replace(SPEC, epochs=1)


@pytest.fixture(scope="module")
def planted():
    """Return unit directions and states in which about three of them are on, far from 0."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((PLANTED, D))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    on = rng.random((TOKENS, PLANTED)) < 3 / PLANTED
    codes = on * rng.uniform(1, 3, (TOKENS, PLANTED))
    states = 10 * (codes @ directions + 5 * rng.standard_normal(D))
    return directions, TokenStates.of(states.astype(np.float32), np.arange(TOKENS) // 20)


def fvu(dictionary, states):
    x = torch.from_numpy(states.rows(np.arange(2000)))
    missed = (x - dictionary.decode(dictionary.encode(x))).square().sum()
    return float(missed / (x - x.mean(dim=0)).square().sum())


def stop_at(step):
    """Return a report that cancels before a step."""

    def report(done, total, note):
        if done >= step:
            raise Cancelled

    return report


@pytest.mark.parametrize("activation", ["topk", "batchtopk"])
def test_planted_directions_are_found_and_an_untrained_dictionary_has_none(planted, activation):
    directions, states = planted
    spec = replace(SPEC, activation=activation)
    trained = train(states, spec, ABOUT).dictionary
    untrained = Training(states, spec).dictionary(ABOUT)
    best = (trained.w_dec.numpy() @ directions.T).max(axis=0)
    before = (untrained.w_dec.numpy() @ directions.T).max(axis=0)
    assert np.mean(best > 0.9) > 0.7
    assert np.mean(before > 0.9) < 0.1
    assert fvu(trained, states) < 0.2 < fvu(untrained, states)


def test_batch_topk_becomes_a_threshold_that_keeps_about_k_on(planted):
    _, states = planted
    trained = train(states, replace(SPEC, activation="batchtopk"), ABOUT).dictionary
    on = (trained.encode(torch.from_numpy(states.rows(np.arange(4000)))) > 0).sum(dim=1)
    assert trained.info.activation == "jumprelu"
    assert 3 < float(on.float().mean()) < 5
    assert len(set(on.tolist())) > 2


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(planted):
    _, states = planted
    first, again = (train(states, SHORT, ABOUT).dictionary for _ in range(2))
    other = train(states, replace(SHORT, seed=1), ABOUT).dictionary
    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.parametrize("activation", ["topk", "batchtopk", "relu"])
def test_stopped_and_gone_on_with_it_ends_on_the_same_bits(planted, tmp_path, activation):
    _, states = planted
    spec = replace(SPEC, activation=activation, epochs=3, dead_after=1000)
    whole = train(states, spec, ABOUT)
    for step in (17, 60):  # the second stop lies in another epoch, with dead latents revived
        with pytest.raises(Cancelled):
            train(states, spec, ABOUT, folder=tmp_path, report=stop_at(step))
    seen = []
    resumed = train(
        states, spec, ABOUT, folder=tmp_path, report=lambda done, total, note: seen.append(done)
    )
    assert seen[0] == 60
    assert resumed.dictionary.digest == whole.dictionary.digest
    assert resumed.curve == whole.curve


def test_a_state_of_another_training_is_not_gone_on_with(planted, tmp_path):
    _, states = planted
    with pytest.raises(Cancelled):
        train(states, SHORT, ABOUT, folder=tmp_path, report=stop_at(9))
    run = Training(states, replace(SHORT, lr=1e-3))
    assert not run.resume(tmp_path / "training.safetensors")
    assert Training(states, SHORT).resume(tmp_path / "training.safetensors")


def test_a_damaged_state_is_started_over(planted, tmp_path):
    _, states = planted
    (tmp_path / "training.safetensors").write_bytes(b"half")
    trained = train(states, SHORT, ABOUT, folder=tmp_path).dictionary
    assert trained.digest == train(states, SHORT, ABOUT).dictionary.digest


def test_dead_latents_are_revived(planted):
    _, states = planted
    with_help = replace(SPEC, dead_after=1500, epochs=8)
    dead = {}
    for name, spec in (("revived", with_help), ("left", replace(with_help, aux_k=0))):
        run = Training(states, spec)
        with torch.no_grad():
            run.weights["w_enc"][:, :48] *= 0.02  # half of all latents are never among the k
        while run.step < run.steps:
            run.advance()
        dead[name] = run.curve[-1].dead
    assert dead["left"] > 0.4
    assert dead["revived"] < 0.5 * dead["left"]


def test_centre_and_scale_are_folded_into_the_weights(planted):
    """The dictionary of raw states is the trained one of centred and scaled ones, by hand."""
    _, states = planted
    run = Training(states, SHORT)
    for _ in range(20):
        run.advance()
    raw = torch.from_numpy(states.rows(np.arange(500)))
    own = {name: one.detach() for name, one in run.weights.items()}
    scaled = (raw - run.centre) / run.scale
    before = torch.relu((scaled - own["b_dec"]) @ own["w_enc"] + own["b_enc"])
    best = before.topk(SHORT.k, dim=1)
    codes = torch.zeros_like(before).scatter_(1, best.indices, best.values)
    rebuilt = (codes @ own["w_dec"] + own["b_dec"]) * run.scale + run.centre
    dictionary = run.dictionary(ABOUT)
    torch.testing.assert_close(
        dictionary.decode(dictionary.encode(raw)), rebuilt, rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(dictionary.w_dec.norm(dim=1), torch.ones(96))
    assert float(scaled.square().sum(dim=1).mean()) == pytest.approx(D, rel=0.1)


def test_scale_of_the_states_does_not_matter(planted):
    _, states = planted
    larger = TokenStates.of(states.parts[0] * 64, states.document)
    plain, scaled = (train(one, SHORT, ABOUT).dictionary for one in (states, larger))
    torch.testing.assert_close(plain.w_dec, scaled.w_dec, rtol=1e-3, atol=1e-4)


def test_the_papers_preset_has_the_released_codes_settings(planted):
    spec = paper_spec(640)
    assert (spec.width, spec.k, spec.epochs, spec.batch, spec.lr) == (2560, 50, 100, 4096, 1e-4)
    assert (spec.scaled, spec.tied_start, spec.aux_k) == (False, False, 0)
    _, states = planted
    run = Training(states, replace(spec, width=96, k=10, batch=256, epochs=2))
    norms = run.weights["w_dec"].detach().norm(dim=1)
    assert float(norms.mean()) == pytest.approx((D / 96) ** 0.5, rel=0.1)  # sqrt(d / width)
    first = run._l1
    while run.step < run.steps:
        run.advance()
    assert run._l1 > first  # more latents are on than wanted: the penalty grows
    raw = torch.from_numpy(states.rows(np.arange(50)))
    own = {name: one.detach() for name, one in run.weights.items()}
    codes = torch.relu((raw - run.centre) @ own["w_enc"] + own["b_enc"])
    dictionary = run.dictionary(ABOUT)
    assert dictionary.info.activation == "relu"
    torch.testing.assert_close(dictionary.encode(raw), codes, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 97}, "k must be 1 to the width"),
        ({"lr": 0.0}, "learning rate must lie"),
        ({"activation": "gated"}, "activation is unknown"),
        ({"epochs": 0}, "epochs must be"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, words):
    with pytest.raises(TrainingError, match=words):
        replace(SPEC, **change)


def test_states_that_cannot_be_taken_apart_are_refused():
    same = TokenStates.of(np.ones((50, D), np.float32), np.arange(50))
    with pytest.raises(TrainingError, match="are the same"):
        Training(same, SHORT)
    broken = np.ones((50, D), np.float32)
    broken[3, 3] = np.inf
    with pytest.raises(TrainingError, match="not finite"):
        Training(TokenStates.of(broken, np.arange(50)), SHORT)
    with pytest.raises(TrainingError, match="too few"):
        Training(TokenStates.of(np.ones((1, D), np.float32), np.arange(1)), SHORT)
