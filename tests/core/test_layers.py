"""Layers as people write them."""

import itertools

import pytest

from core import CoreError
from core.layers import layers_of, layers_text


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("", ()),
        (" , ", ()),
        ("9", (9,)),
        ("9, 12-14", (9, 12, 13, 14)),
        ("12 – 14,9,13", (12, 13, 14, 9)),
        ("3-1", (3, 2, 1)),
        ("0,17", (0, 17)),
    ],
)
def test_numbers_and_ranges_are_read_in_their_order(text, layers):
    assert layers_of(text, 18) == layers


@pytest.mark.parametrize("text", ["a", "1.5", "-1", "1--2", "1-2-3", "1 2", "²", "1;2"])
def test_other_text_is_refused_with_an_example(text):
    with pytest.raises(CoreError, match=r"is no layer.*9, 12-14"):
        layers_of(text, 18)


@pytest.mark.parametrize("text", ["18", "3-18", "18-3", "9999"])
def test_a_layer_that_there_is_not_is_refused(text):
    with pytest.raises(CoreError, match="Choose layers 0 to 17"):
        layers_of(text, 18)


def test_every_order_is_the_same_again():
    for count in range(5):
        for layers in itertools.permutations(range(4), count):
            assert layers_of(layers_text(layers), 4) == layers
