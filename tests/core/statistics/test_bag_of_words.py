"""The words-alone control: it sees which words occur, and nothing else."""

import hashlib

import numpy as np

from core.activations.prompts import ReadSpec
from core.dataset import sets
from core.statistics.bag_of_words import LENGTH_STEPS, bag_of_words, sentence_length

TEXTS = [
    "helping a friend",
    "helping a stranger",
    "stealing a car",
    "stealing a bike",
    "walking",
]


def test_rows_have_unit_length_and_a_text_without_known_words_is_zero():
    length = np.linalg.norm(bag_of_words(TEXTS), axis=1)
    np.testing.assert_allclose(length, [1, 1, 1, 1, 0], atol=1e-6)


def test_texts_that_share_words_are_nearer_than_texts_that_do_not():
    vectors = bag_of_words(TEXTS)
    similar = vectors @ vectors.T
    assert similar[0, 1] > similar[0, 2]
    assert similar[2, 3] > similar[1, 2]


def test_rare_words_weigh_more_than_common_ones():
    vectors = bag_of_words(["a b", "a c", "a b", "a c", "a a d", "a d"])
    similar = vectors @ vectors.T
    assert 0 < similar[0, 1] < similar[0, 2]


def test_meaning_without_shared_words_is_not_seen():
    vectors = bag_of_words(["hurting people", "hurting people", "aiding folk", "aiding folk"])
    assert vectors[0] @ vectors[2] == 0


def test_letter_case_and_punctuation_do_not_matter():
    vectors = bag_of_words(["Helping a friend!", "helping a friend", "other words", "other words"])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_pairs_of_words_keep_a_little_of_their_order():
    vectors = bag_of_words(["dog bites man", "dog bites man", "man bites dog", "man bites dog"])
    assert vectors[0] @ vectors[2] < 0.99


def test_words_of_one_letter_count():
    assert bag_of_words(["a i", "a i", "o"]).any()


def test_only_the_most_frequent_terms_are_kept():
    assert bag_of_words(TEXTS, max_words=2).shape == (5, 2)
    assert bag_of_words(TEXTS, max_words=2).dtype == np.float32


def test_the_order_of_texts_moves_rows_and_changes_nothing_else():
    order = [3, 0, 4, 2, 1]
    np.testing.assert_array_equal(
        bag_of_words([TEXTS[row] for row in order]), bag_of_words(TEXTS)[order]
    )


def test_texts_without_a_common_word_give_zeros():
    np.testing.assert_array_equal(bag_of_words(["one", "two", "three"]), np.zeros((3, 1)))
    np.testing.assert_array_equal(bag_of_words(["...", "!"]), np.zeros((2, 1)))
    np.testing.assert_array_equal(bag_of_words([""]), np.zeros((1, 1)))


def test_one_text_alone_is_known_by_its_own_words():
    np.testing.assert_allclose(np.linalg.norm(bag_of_words(["helping a friend"])), 1, rtol=1e-6)


def test_length_tells_words_and_characters_apart_softly():
    texts = ["a b c d", "abc d", "a bcd", "a b", "a " * 40]
    lengths = sentence_length(texts)
    assert lengths.shape == (5, 2 * LENGTH_STEPS)
    np.testing.assert_allclose(lengths[1], lengths[2])  # as many words and characters
    same_words = lengths[:, :LENGTH_STEPS]
    np.testing.assert_allclose(same_words[1], same_words[3])
    assert np.abs(lengths[1] - lengths[3]).max() > 0.1  # but not as many characters
    distance = np.linalg.norm(same_words - same_words[1], axis=1)
    assert distance[0] < distance[4]  # nearer lengths are nearer states


def test_texts_of_one_length_are_all_alike():
    assert np.ptp(sentence_length(["ab c", "de f"]), axis=0).max() == 0


def test_length_knows_no_words():
    first, second = sentence_length(["help a man", "harm a cat"])
    np.testing.assert_array_equal(first, second)


def test_the_built_in_sets_counts_are_what_they_were(store):
    """Their bytes, written down before scripts without blanks were counted by characters."""
    prompts = sorted({ReadSpec().prompt(text) for text in sets.builtin(store).texts()})
    assert [
        hashlib.sha256(counts.tobytes()).hexdigest()[:16]
        for counts in (bag_of_words(prompts), sentence_length(prompts))
    ] == ["1c8ed0a67377e0cc", "6df912b5ab40b9b2"]


def test_length_counts_characters_as_words_where_there_are_no_blanks():
    words = sentence_length(["我帮朋友", "我帮朋友去学校", "a b c d", "a b c d e f g"])[
        :, :LENGTH_STEPS
    ]
    np.testing.assert_array_equal(words[:2], words[2:])
