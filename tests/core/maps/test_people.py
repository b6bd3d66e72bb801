"""The human map that comes along: that of the built-in set, as it would be drawn here."""

import json

import numpy as np
import pytest
from scipy.spatial import procrustes

from core import CoreError
from core.dataset import sets
from core.maps import people, projection
from core.maps.layouts import human_layout
from core.maps.people import shipped_places, write_places
from core.maps.projection import LayoutSpec, project

UMAP = LayoutSpec("umap")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    from core.runtime.store import Store

    return np.unique(sets.builtin(Store(tmp_path_factory.mktemp("kept"))).vectors(), axis=0)


def test_the_built_in_set_is_not_drawn_here(store, monkeypatch):
    monkeypatch.setattr(projection, "_umap", None)
    items = sets.builtin(store)
    layout = human_layout(store, items, UMAP).get()
    assert layout.points.shape == (len(items), 2)
    assert layout.trust.trustworthiness > 0.75
    assert human_layout(store, items, UMAP).has()


def test_other_vectors_and_other_ways_are_not_what_comes_along(vectors):
    assert shipped_places(vectors, UMAP) is not None
    assert shipped_places(vectors[1:], UMAP) is None
    assert shipped_places(vectors, LayoutSpec("umap", 3)) is None
    assert shipped_places(vectors, LayoutSpec("umap", seed=1)) is None


@pytest.mark.slow
def test_it_is_what_the_command_draws(vectors):
    """Up to the last digits of another machine's arithmetic, which UMAP's descent enlarges."""
    shipped, drawn = shipped_places(vectors, UMAP), project(vectors, UMAP, metric="euclidean")
    assert shipped.trust.trustworthiness == pytest.approx(drawn.trust.trustworthiness, abs=0.03)
    assert procrustes(shipped.points, drawn.points)[2] < 0.2
    told = json.loads(people.FILE.read_text())
    assert told["command"] == "python -m core people --out core/data/human-umap.json"


def test_what_is_written_is_what_is_read(vectors, tmp_path, monkeypatch):
    path, few = tmp_path / "map.json", vectors[:20]
    layout = project(few, LayoutSpec(), metric="euclidean")
    write_places(path, few, LayoutSpec(), layout, "a command")
    monkeypatch.setattr(people, "FILE", path)
    people._shipped.cache_clear()
    found = shipped_places(few, LayoutSpec())
    people._shipped.cache_clear()
    np.testing.assert_allclose(found.points, layout.points, atol=1e-6)
    assert found.trust == layout.trust
    with pytest.raises(CoreError, match="cannot be written"):
        write_places(tmp_path, few, LayoutSpec(), layout, "")
