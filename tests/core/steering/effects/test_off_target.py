"""Leakage: every cell against a read-out of its own, what is missing, what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.foundations import DIMENSIONS
from core.runtime.progress import Cancelled, silent
from core.runtime.store import Store
from core.statistics.bootstrap import chance
from core.steering.directions import (
    DirectionError,
    control_directions,
    covariance_direction,
    moral_direction,
)
from core.steering.effects import off_target
from core.steering.effects.off_target import kept_off_target, measure_off_target
from core.steering.effects.pushes import held_out, one_edit
from core.steering.effects.readout import read_out
from tests.core.steering.steeringsets import balanced_rows, read_by


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Let a matrix be measured in a second."""
    monkeypatch.setattr(off_target, "DRAWS", 10)


def test_leakage_is_a_row_per_pole_and_bands_of_two_families(read_study, llama):
    store, made = read_study
    found = measure_off_target(store, made, llama, 1, 0.1, positions="all", report=silent)
    assert found.rows == (*DIMENSIONS, "random, as the states vary", "shuffled labels")
    assert found.columns == DIMENSIONS
    assert found.shift.shape == (12, 10)
    assert np.isfinite(found.shift).all()
    for row, column in ((0, 0), (3, 8), (9, 1)):
        rows = held_out(made, DIMENSIONS[column], 8)
        assert found.counts[column] == len(rows)
        direction = moral_direction(store, made, DIMENSIONS[row], 1)
        edits = [one_edit(store, made, direction, 0.1)]
        prompts = [made.plan.prompts[one] for one in made.plan.rows[rows]]
        expected = read_out(llama, prompts, edits, "all").shift.mean()
        assert found.shift[row, column] == pytest.approx(expected, abs=1e-4)
    drawn = (
        [covariance_direction(store, made, 1, seed) for seed in range(10)],
        [control_directions(store, made, "shuffled", pole, 1, 1)[0] for pole in DIMENSIONS],
    )
    for family, controls in enumerate(drawn):
        rows = held_out(made, DIMENSIONS[4], 8)
        prompts = [made.plan.prompts[one] for one in made.plan.rows[rows]]
        shifts = [
            read_out(llama, prompts, [one_edit(store, made, one, 0.1)], "all").shift.mean()
            for one in controls
        ]
        band = (found.shift[10 + family, 4], *found.bands[family, :, 4])
        assert band == pytest.approx(chance(np.array(shifts)), abs=1e-4)


def test_a_matrix_opens_as_it_was_kept(read_study, llama, tmp_path):
    store, made = read_study
    found = measure_off_target(store, made, llama, 1, 0.1)
    kept = kept_off_target(Store(tmp_path), made, 1, 0.1, "not first", lambda _: found)
    kept.get()
    opened = kept.open()
    assert (opened.rows, opened.columns, opened.counts) == (found.rows, found.columns, found.counts)
    np.testing.assert_array_equal(opened.shift, found.shift)
    np.testing.assert_array_equal(opened.bands, found.bands)


def test_poles_without_items_are_nan_rows_and_no_columns(llama, tmp_path_factory):
    rows = balanced_rows(foundations=("care-harm", "loyalty-betrayal"))
    store, made = read_by(llama, tmp_path_factory, rows)
    found = measure_off_target(store, made, llama, 1, 0.1)
    assert found.columns == ("care", "harm", "loyalty", "betrayal")
    assert found.shift.shape == (12, 4)
    empty = np.isnan(found.shift).all(axis=1)
    assert [name for name, none in zip(found.rows, empty, strict=True) if none] == [
        name for name in DIMENSIONS if name not in found.columns
    ]
    assert not np.isnan(found.shift[~empty]).any()


def test_leakage_names_what_is_wrong(read_study, llama, store):
    kept, made = read_study
    with pytest.raises(DirectionError, match="no layer 7 to steer at"):
        measure_off_target(kept, made, llama, 7, 0.1)
    with pytest.raises(CoreError, match="has not read"):
        measure_off_target(store, made, llama, 1, 0.1)
    train = replace(made, items=made.items.take(made.items.split == "train"))
    only = open_study(train.items, llama.card, ReadSpec())
    load_or_extract(store, only.plan, lambda: llama)
    with pytest.raises(CoreError, match="no held-out actions"):
        measure_off_target(store, only, llama, 1, 0.1)


def test_leakage_can_be_cancelled(read_study, llama):
    store, made = read_study
    seen = []

    def report(*told):
        seen.append(told)
        if len(seen) > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        measure_off_target(store, made, llama, 1, 0.1, report=report)
    assert len(seen) == 4
