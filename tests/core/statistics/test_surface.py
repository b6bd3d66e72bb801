"""What a text's surface tells: its length, a negation, the form of its first word."""

import numpy as np
import pytest

from core.statistics.surface import SURFACE, surface


def told(text):
    return dict(zip(SURFACE, surface([text])[0], strict=True))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Telling a friend the truth", "gerund"),
        ("Helped a stranger across the road", "past"),
        ("Told a lie", "past"),
        ("to forgive an old debt", "infinitive"),
        ("Hushes a neighbour", "third person"),
        ("Bring a cake", None),
        ("Red wine at noon", None),
        ("Press the bell", None),
        ("Always late", None),
        ("A warm loaf of bread", None),
        ("", None),
    ],
)
def test_the_form_of_the_first_word(text, form):
    found = told(text)
    forms = [name for name in SURFACE[3:] if found[name]]
    assert forms == ([form] if form else [])


@pytest.mark.parametrize(
    ("text", "negates"),
    [
        ("Not waiting for an answer", True),
        ("She didn’t wait", True),
        ("Leaves without a word", True),
        ("Nothing to see", True),
        ("A notable knot", False),
        ("The cannon", False),
    ],
)
def test_words_that_negate(text, negates):
    assert told(text)["negation"] == negates


def test_length_counts_words_and_characters():
    found = surface(["  three short words ", "帮助朋友"])
    assert found[:, :2].tolist() == [[3, 17], [4, 4]]
    assert surface([]).shape == (0, len(SURFACE))


def test_in_another_script_only_length_varies():
    found = surface(["帮助朋友", "欺骗朋友的父母", "不说话"])
    assert np.ptp(found, axis=0).astype(bool).tolist() == [True, True] + [False] * 5
