"""Dictionaries: what is on, what is written back, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.sae.dictionary import (
    Dictionary,
    DictionaryError,
    DictionaryInfo,
    check_fits,
    sparse_codes,
)

D_MODEL, N_LATENTS = 6, 20


def made(activation="topk", k=3, *, centred=False, seed=0, **about):
    torch.manual_seed(seed)
    info = DictionaryInfo(
        "a dictionary", 1, activation, k if activation == "topk" else None, centred, **about
    )
    threshold = torch.full((N_LATENTS,), 0.5) if activation == "jumprelu" else None
    return Dictionary(
        info,
        torch.randn(D_MODEL, N_LATENTS),
        torch.randn(N_LATENTS) / 10,
        torch.randn(N_LATENTS, D_MODEL),
        torch.randn(D_MODEL),
        threshold,
    )


def by_hand(one, state):
    before = (state - one.b_dec.numpy() * one.info.centred) @ one.w_enc.numpy() + one.b_enc.numpy()
    codes = np.maximum(before, 0)
    if one.info.activation == "jumprelu":
        codes[before <= 0.5] = 0
    if one.info.k:
        codes[np.argsort(-codes)[one.info.k :]] = 0
    return codes


@pytest.mark.parametrize("activation", ["relu", "topk", "jumprelu"])
@pytest.mark.parametrize("centred", [False, True])
def test_codes_and_states_agree_with_numpy(activation, centred):
    one = made(activation, centred=centred)
    states = np.random.default_rng(1).standard_normal((7, D_MODEL)).astype(np.float32)
    codes = one.encode(torch.from_numpy(states)).numpy()
    expected = np.stack([by_hand(one, state) for state in states])
    np.testing.assert_allclose(codes, expected, atol=1e-5)
    back = one.decode(torch.from_numpy(codes)).numpy()
    np.testing.assert_allclose(
        back, expected @ one.w_dec.numpy() + one.b_dec.numpy(), rtol=1e-4, atol=1e-5
    )


def test_topk_leaves_k_latents_on_and_none_below_zero():
    codes = made().encode(torch.randn(50, D_MODEL))
    assert int((codes > 0).sum(dim=1).max()) <= 3
    assert float(codes.min()) == 0


def test_blocks_do_not_change_the_codes(monkeypatch):
    one, states = made("relu"), np.random.default_rng(2).standard_normal((11, D_MODEL))
    states = states.astype(np.float32)
    whole = sparse_codes(one, states).toarray()
    monkeypatch.setattr("core.sae.dictionary._BLOCK_CELLS", 3 * N_LATENTS)
    np.testing.assert_allclose(sparse_codes(one, states).toarray(), whole, atol=1e-6)
    assert sparse_codes(one, states[:0]).shape == (0, N_LATENTS)


def test_the_digest_names_weights_and_rule_but_no_label():
    one = made()
    assert one.digest == made(source="elsewhere").digest
    assert one.digest != made(seed=1).digest
    assert one.digest != made(k=4).digest


def test_a_direction_is_a_unit_row_of_the_decoder():
    one = made()
    row = one.w_dec[4].numpy()
    np.testing.assert_allclose(one.direction(4), row / np.linalg.norm(row), atol=1e-6)
    with pytest.raises(DictionaryError, match="no latent 20"):
        one.direction(20)
    one.w_dec[4] = 0
    with pytest.raises(DictionaryError, match="it is dead"):
        one.direction(4)


def test_damage_is_named():
    one = made()
    for change, words in (
        ({"w_dec": one.w_dec.T.contiguous()}, "w_dec is of shape"),
        ({"b_enc": one.b_enc[:3]}, "b_enc is of shape"),
        ({"b_dec": one.b_dec * np.nan}, "not finite"),
    ):
        with pytest.raises(DictionaryError, match=words):
            replace(one, **change)
    with pytest.raises(DictionaryError, match="threshold is missing"):
        replace(made("jumprelu"), threshold=None)
    with pytest.raises(DictionaryError, match="20 latents, of which 21"):
        made(k=21)
    with pytest.raises(DictionaryError, match="known are relu, topk, jumprelu"):
        made("gated")
    with pytest.raises(DictionaryError, match="how many latents are on"):
        made(k=0)


def test_another_model_is_refused():
    def card(**change):
        known = {"name": "tiny", "d_model": D_MODEL, "n_layers": 3, "identity": "folder:a"}
        return SimpleNamespace(**{**known, **change})

    check_fits(made(), card())
    check_fits(made(model="folder:a"), card())
    with pytest.raises(DictionaryError, match="6 coordinates apart; tiny has 8"):
        check_fits(made(), card(d_model=8))
    with pytest.raises(DictionaryError, match="layers 0 to 0"):
        check_fits(made(), card(n_layers=1))
    with pytest.raises(DictionaryError, match=r"another model \(folder:b\)"):
        check_fits(made(model="folder:b"), card())
