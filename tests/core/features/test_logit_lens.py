"""The words a latent promotes: plain arithmetic, and a direction made for a word."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import CoreError
from core.features.logit_lens import (
    TOP,
    LogitLens,
    kept_lens,
    read_lens,
    script_of,
    short_names,
)
from core.sae.dictionary import DictionaryError
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import opened

TEXTS = ["Stealing from a friend"]


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_folder, tmp_path_factory):
    return opened(tiny_gpt2_folder, tmp_path_factory)


def test_both_ends_agree_with_plain_arithmetic(store, llama):
    made = made_dictionary(model=llama.card.identity)
    lens = read_lens(llama, made, [9, 3])
    norm, head = llama.module.model.norm, llama.module.lm_head.weight.detach().numpy()
    row = made.w_dec[9].numpy()
    scaled = row / np.sqrt((row**2).mean() + norm.variance_epsilon) * norm.weight.detach().numpy()
    logits = head @ scaled
    z = (logits - logits.mean()) / logits.std(ddof=1)
    order = np.argsort(-z)
    up, down = lens.of(9)
    assert lens.latents.tolist() == [3, 9]
    np.testing.assert_allclose([one[1] for one in up], z[order[:TOP]], atol=1e-4)
    np.testing.assert_allclose([one[1] for one in down], z[order[::-1][:TOP]], atol=1e-4)
    assert up[0][0] == llama.tokenizer.decode([int(order[0])])
    assert lens.of(4) is None


def test_a_direction_made_for_a_word_promotes_it(store, gpt2):
    head = gpt2.module.get_output_embeddings().weight.detach()
    made = made_dictionary()
    rows = made.w_dec.clone()
    rows[5] = head[123] - head.mean(dim=0)
    lens = read_lens(gpt2, replace(made, w_dec=rows), [5])
    up, down = lens.of(5)
    assert up[0][0] == gpt2.tokenizer.decode([123])
    assert up[0][1] > 0 > down[0][1]


def test_a_constant_of_the_last_norm_promotes_nothing(store, gpt2):
    made = made_dictionary()
    plain = read_lens(gpt2, made, [1]).of(1)
    bias = gpt2.module.transformer.ln_f.bias
    bias.data += 100 * torch.randn(len(bias), generator=torch.Generator().manual_seed(0))
    moved = read_lens(gpt2, made, [1]).of(1)
    bias.data.zero_()
    assert [word for word, _ in moved[0]] == [word for word, _ in plain[0]]


def test_it_is_kept_and_blocks_do_not_change_it(store, llama, monkeypatch):
    made = made_dictionary()
    identity = llama.card.identity
    whole = kept_lens(
        store, made, identity, range(20), lambda _: read_lens(llama, made, range(20))
    ).get()
    again = kept_lens(store, made, identity, range(19, -1, -1), None).open()
    np.testing.assert_array_equal(again.promoted, whole.promoted)
    assert again.words == whole.words
    monkeypatch.setattr("core.features.logit_lens._BLOCK_CELLS", 3 * 300)
    parts = read_lens(llama, made, range(20))
    np.testing.assert_array_equal(parts.promoted, whole.promoted)


def test_what_cannot_be_looked_up_is_said(store, llama, monkeypatch):
    with pytest.raises(DictionaryError, match="another model"):
        read_lens(llama, made_dictionary(model="folder:other"), [0])
    with pytest.raises(CoreError, match="No latent was named"):
        read_lens(llama, made_dictionary(), [])
    monkeypatch.setattr("core.features.logit_lens._NORMS", ())
    with pytest.raises(CoreError, match="name that is not known"):
        read_lens(llama, made_dictionary(), [0])


def test_a_latent_is_named_by_the_first_different_words_that_it_promotes():
    words = dict(
        enumerate([" steal", "Steal", "\n", "\ufffd", " stolen", " theft", " rob", "x" * 50])
    )
    promoted = np.array([[0, 1, 2, 3, 4, 5], [2, 3, 2, 3, 2, 3], [7, 6, 0, 1, 2, 3]])
    nothing = np.zeros((3, 6), np.float32)
    lens = LogitLens(np.array([4, 9, 11]), promoted, nothing, promoted, nothing, words)
    assert short_names(lens, TEXTS) == {4: "steal, stolen, theft", 9: "", 11: "rob, steal"}
    pieces = lens._replace(words={**words, 0: "ste", 1: "steal"})
    assert short_names(pieces, TEXTS)[4] == "stolen, theft, ste"


def test_whole_words_in_the_script_of_the_texts_go_first_where_there_are_three():
    told = [
        " 発行",
        " ve",
        "ativi",
        " getElement",
        " α",
        " proofs",
        " steal",
        " мир",
        " theft",
        " rob",
    ]
    words = dict(enumerate([*told, " война", " дом"]))
    promoted = np.array([[*range(10), 0, 0], [0, 1, 2, 3, 4, 7, 10, 11, 5, 6, 7, 7]])
    nothing = np.zeros((2, 12), np.float32)
    lens = LogitLens(np.array([0, 1]), promoted, nothing, promoted, nothing, words)
    assert short_names(lens, TEXTS) == {0: "proofs, steal, theft", 1: "発行, ve, getElement"}
    assert short_names(lens, ["Ложь другу"])[1] == "мир, война, дом"


def test_a_script_is_that_of_most_letters():
    assert script_of(["Lying to a friend"]) == "LATIN"
    assert script_of(["Ложь 12 a"]) == "CYRILLIC"
    assert script_of(["12 !"]) == ""
