"""Selections under a short name."""

import re

import pytest

from core.runtime.selections import DIGITS, load_selection, save_selection


def test_what_was_saved_is_loaded_each_id_once_and_sorted(store):
    name = save_selection(store, ["b", "a", "b-2", "a"])
    assert load_selection(store, name) == ["a", "b", "b-2"]


def test_the_name_is_short_and_fit_for_an_address(store):
    name = save_selection(store, [f"{number:016x}" for number in range(5000)])
    assert re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", name)
    assert len(load_selection(store, name)) == 5000


def test_the_same_items_have_the_same_name_in_any_order_and_are_stored_once(store):
    first = save_selection(store, ["x", "y"])
    assert save_selection(store, ["y", "x", "y"]) == first
    assert len(store.artefacts()) == 1


def test_other_items_have_another_name(store):
    names = {save_selection(store, ids) for ids in (["x"], ["y"], ["x", "y"], ["xy"], ["x,y"], [])}
    assert len(names) == 6


def test_an_empty_selection_is_a_selection(store):
    assert load_selection(store, save_selection(store, [])) == []


@pytest.mark.parametrize("name", ["", "0" * DIGITS, "../../etc/passwd", "a" * 5000, "\0", "é%2f"])
def test_an_unknown_name_from_an_address_is_none_and_writes_nothing(store, name):
    assert load_selection(store, name) is None
    assert not store.root.exists()
