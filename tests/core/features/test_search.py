"""Search: latents that are on more often where the words are, with what they do elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csc_array

from core import CoreError
from core.features.feature_activations import FeatureActivations
from core.features.logit_lens import LogitLens
from core.features.search import by_promoted, by_text, by_token, latent_named
from core.features.view import latent_colouring
from core.sae.latent_names import LatentNames

PROMPTS = ("Helping a friend", "Robbing a friend", "Robbing a bank", "Reading")


@pytest.fixture
def codes():
    """Two tokens a text; latent 0 is on for robbing, 1 everywhere, 2 at the word friend."""
    dense = np.zeros((8, 4), np.float32)
    dense[[2, 4], 0] = 2
    dense[:, 1] = 1
    dense[[1, 3], 2] = 3
    token = np.array([10, 11, 12, 11, 12, 13, 14, 15])
    words = {10: "Helping", 11: " friend", 12: "Robbing", 13: " bank", 14: "Read", 15: "ing"}
    return FeatureActivations(csc_array(dense), np.repeat(np.arange(4), 2), token, words, 4)


STUDY = SimpleNamespace(plan=SimpleNamespace(prompts=PROMPTS))


def test_texts_with_a_word_find_what_is_on_there_and_not_what_is_on_everywhere(codes):
    hits = by_text(codes, STUDY, " robbing ")
    assert hits.latents.tolist() == [0]
    assert (hits.here.tolist(), hits.elsewhere.tolist(), hits.matches) == ([1.0], [0.0], 2)


def test_a_shared_word_finds_the_latent_with_its_share_elsewhere(codes):
    hits = by_text(codes, STUDY, "a friend")
    assert hits.latents.tolist() == [2]
    friends = by_text(codes, STUDY, "rob")
    assert friends.latents.tolist() == [0]


def test_a_token_is_found_whatever_its_blank_and_case(codes):
    hits = by_token(codes, "FRIEND")
    assert hits.latents.tolist() == [2]
    assert hits.matches == 2
    assert by_token(codes, "robbing").latents.tolist() == [0]


def test_promoted_words_come_strongest_first():
    lens = LogitLens(
        np.array([3, 7, 9]),
        np.array([[1, 2], [2, 1], [4, 5]]),
        np.array([[5.0, 4.0], [6.0, 3.0], [9.0, 8.0]], np.float32),
        np.zeros((3, 2), np.int64),
        np.zeros((3, 2), np.float32),
        {0: "x", 1: " evil", 2: " good", 4: " a", 5: " b"},
    )
    assert by_promoted(lens, "good").tolist() == [7, 3]
    assert by_promoted(lens, "evil").tolist() == [3, 7]
    with pytest.raises(CoreError, match="promotes most"):
        by_promoted(lens, "x")


def test_what_is_not_there_is_said(codes):
    with pytest.raises(CoreError, match="No text of this set contains 'zebra'"):
        by_text(codes, STUDY, "zebra")
    with pytest.raises(CoreError, match="read in parts"):
        by_token(codes, "reading")
    with pytest.raises(CoreError, match="Nothing was typed"):
        by_token(codes, "  ")
    with pytest.raises(CoreError, match="at most 200"):
        by_text(codes, STUDY, "x" * 201)


NAMES = LatentNames({2: "Theft"}, {2: "steal", 5: "theft, rob", 7: "kind"})


@pytest.mark.parametrize(
    ("query", "latent"), [("7", 7), (" KIND ", 7), ("rob", 5), ("theft", 2), ("0", 0)]
)
def test_a_latent_is_named_by_number_or_by_what_it_is_called(query, latent):
    assert latent_named(NAMES, 8, query) == latent


@pytest.mark.parametrize(
    ("names", "query", "said"),
    [
        (NAMES, "8", "Type 0 to 7"),
        (NAMES, "the", r"2 latents have names with 'the': 2 \(Theft\), 5 \(theft, rob\)"),
        (NAMES, "bank", "No latents have names with 'bank'"),
        (LatentNames({}, {}), "bank", "No latent has a name yet"),
    ],
)
def test_a_latent_that_cannot_be_told_says_what_to_do(names, query, said):
    with pytest.raises(CoreError, match=said):
        latent_named(names, 8, query)


def test_a_latent_colours_items_by_its_strongest_token(codes):
    study = SimpleNamespace(
        plan=SimpleNamespace(rows=np.array([0, 1, 1, 2, 3])),
        items=SimpleNamespace(provenance=SimpleNamespace(name="made")),
    )
    colours = latent_colouring(study, codes, 0, "theft")
    assert colours.title == "Latent 0 · theft"
    np.testing.assert_array_equal(colours.data, [np.nan, 2, 2, 2, np.nan])
    assert colours.span == (0, 2)
    with pytest.raises(CoreError, match="Latent 3 is on for no text of made"):
        latent_colouring(study, codes, 3)
