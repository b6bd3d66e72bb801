"""Safe ranges: how far is safe, what a layer's axes give, what comes with the project."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import builtin
from core.foundations import FOUNDATIONS
from core.runtime.store import Store
from core.steering.directions import DirectionError, moral_direction
from core.steering.effects import safe_ranges
from core.steering.effects.neutral import Cost, neutral_cost
from core.steering.effects.pushes import SweepSpec, one_edit
from core.steering.effects.safe_ranges import (
    SAFE_KL,
    STRENGTHS,
    RangeSpec,
    kept_safe_ranges,
    measure_safe_ranges,
    safe_range,
)
from core.steering.effects.shipped_doses import (
    FILE,
    KnownDose,
    made_from,
    shipped_dose,
    write_doses,
)
from core.steering.effects.strength_sweep import kept_sweep
from core.steering.jobs import known_dose
from core.workbench import Workbench
from tests.core.steering.steeringsets import balanced_rows, read_by, read_table
from tests.core.steering.test_plots import dose


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        ({0.0: 0}, (0, 0)),
        ({}, (0, 0)),
        ({-0.2: 0.1, -0.1: 0.1, 0.0: 0, 0.1: 0.1, 0.2: 0.4}, (-0.2, 0.2)),
        ({-0.2: 9, -0.1: 0.1, 0.1: 0.1, 0.2: 0.4, 0.3: 0.6}, (-0.1, 0.2)),
        ({0.1: SAFE_KL}, (0, 0.1)),
        ({0.1: SAFE_KL + 1e-9}, (0, 0)),
        ({0.1: 0.1, 0.2: 0.9, 0.3: 0.1}, (0, 0.1)),  # safe means safe all the way
        ({-0.1: 0.9, -0.2: 0.1, 0.1: np.nan, 0.2: 0.1}, (0, 0)),
        ({-0.1: np.inf, 0.1: 0.1, 0.2: np.nan}, (0, 0.1)),
    ],
)
def test_the_safe_range_reaches_to_the_first_strength_that_is_not(kl, expected):
    for order in (list(kl), list(kl)[::-1]):
        assert safe_range({strength: kl[strength] for strength in order}) == expected


# A layer's axes ---------------------------------------------------------------------------------


def test_every_axis_goes_as_far_as_its_own_cost_allows(read_study, llama, monkeypatch):
    """The tiny model's text suffers little: the limit lies where its costs do."""
    store, made = read_study
    spec = RangeSpec(1, positions="all")
    costs = {
        axis: {
            strength: neutral_cost(
                llama,
                [one_edit(store, made, moral_direction(store, made, axis, 1), strength)],
                "all",
            ).kl
            for strength in STRENGTHS
            if strength
        }
        for axis in FOUNDATIONS
    }
    for limit in (np.median([kl for each in costs.values() for kl in each.values()]), 0.0, 1e9):
        monkeypatch.setattr(safe_ranges, "SAFE_KL", limit)
        found = measure_safe_ranges(store, made, llama, spec)
        assert found == {axis: safe_range(kl) for axis, kl in costs.items()}


def test_nothing_is_asked_beyond_what_is_safe(read_study, llama, monkeypatch):
    store, made = read_study
    asked = []

    def cost(_model, _neutral, edits, _positions):
        asked.append(edits[0].strengths[0])
        return Cost(abs(asked[-1]) / 0.1 * SAFE_KL, 20.0)

    monkeypatch.setattr(safe_ranges, "cost_of", cost)
    found = measure_safe_ranges(store, made, llama, RangeSpec(1))
    assert found == dict.fromkeys(FOUNDATIONS, (-0.1, 0.1))
    assert asked == [-0.05, -0.1, -0.2, 0.05, 0.1, 0.2] * len(FOUNDATIONS)


def test_axes_without_a_direction_are_left_out_and_none_at_all_is_said(store, llama):
    made = open_study(
        read_table(store, balanced_rows(foundations=("care-harm",))), llama.card, ReadSpec()
    )
    load_or_extract(store, made.plan, lambda: llama)
    assert list(measure_safe_ranges(store, made, llama, RangeSpec(1))) == ["care-harm"]
    small = open_study(made.items.take(np.arange(12)), llama.card, ReadSpec())
    load_or_extract(store, small.plan, lambda: llama)
    with pytest.raises(DirectionError, match="Choose another axis"):
        measure_safe_ranges(store, small, llama, RangeSpec(1))


def test_safe_ranges_open_as_they_were_kept(read_study, tmp_path):
    _, made = read_study
    found = {"care-harm": (-0.1, 0.2)}
    once = kept_safe_ranges(Store(tmp_path), made, RangeSpec(1), lambda _: found)
    assert once.get() == once.open() == found
    other = kept_safe_ranges(Store(tmp_path), made, RangeSpec(1, "probe"), lambda _: found)
    assert not other.has()


# What comes with the project --------------------------------------------------------------------


@pytest.fixture
def shipped(read_study, monkeypatch, tmp_path):
    """Let a file made for the tiny model's set be the one that comes with the project."""
    from core.steering.effects import shipped_doses

    _, made = read_study
    path = tmp_path / "doses.json"
    ranges = {1: {"care-harm": (-0.1, 0.3), "loyalty-betrayal": (-0.4, 0.4)}}
    said = {1: {"care-harm": "It moves."}}
    write_doses(path, made_from(made, RangeSpec(0)), ranges, said, "python -m core doses here")
    monkeypatch.setattr(shipped_doses, "FILE", path)
    shipped_doses._shipped.cache_clear()
    yield made
    shipped_doses._shipped.cache_clear()


def test_a_shipped_dose_is_for_its_own_study_and_way_alone(shipped):
    spec = SweepSpec("care-harm", 1)
    assert shipped_dose(shipped, spec) == KnownDose((-0.1, 0.3), "It moves.", shipped=True)
    assert shipped_dose(shipped, replace(spec, axis="loyalty-betrayal")).said == ""
    # On neutral text both move the same tokens; what was said of the effect is not taken over.
    written = shipped_dose(shipped, replace(spec, positions="generated"))
    assert written == KnownDose((-0.1, 0.3), "", shipped=True)
    for changes in (
        {"axis": "care"},
        {"layer": 2},
        {"method": "probe"},
        {"pooling": "mean"},
        {"positions": "all"},
    ):
        assert shipped_dose(shipped, replace(spec, **changes)) is None
    other = open_study(shipped.items, shipped.card, ReadSpec(template="{action}"))
    assert shipped_dose(other, spec) is None
    card = replace(shipped.card, dtype="bfloat16")
    assert shipped_dose(replace(shipped, card=card), spec) is None
    fewer = open_study(shipped.items.take(np.arange(100)), shipped.card, ReadSpec())
    assert shipped_dose(fewer, spec) is None


def test_a_persons_own_sweep_goes_before_what_is_shipped(shipped, tmp_path):
    work = Workbench.at(tmp_path / "own")
    spec = SweepSpec("care-harm", 1)
    assert known_dose(work, shipped, spec).shipped
    own = dose((-0.2, 0.2))
    kept_sweep(work.store, shipped, spec, lambda _: own).get()
    assert known_dose(work, shipped, spec) == KnownDose((-0.2, 0.2), own.said)
    unknown = SweepSpec("care-harm", 2)
    assert known_dose(work, shipped, unknown) is None
    ranges = {"care-harm": (-0.3, 0.05)}
    kept_safe_ranges(work.store, shipped, RangeSpec(2), lambda _: ranges).get()
    assert known_dose(work, shipped, unknown) == KnownDose((-0.3, 0.05))


def test_the_file_names_what_made_it():
    told = json.loads(FILE.read_text(encoding="utf-8"))
    assert told["command"].startswith("python -m core doses packaged ")
    assert told["command"].endswith(f"--out core/data/{FILE.name}")
    assert set(told["versions"]) == {"torch", "transformers", "nnsight"}
    assert set(told["ranges"]) == set(FOUNDATIONS)


def test_a_file_that_cannot_be_written_is_a_sentence(shipped, tmp_path):
    with pytest.raises(CoreError, match="Name another file"):
        write_doses(tmp_path / "none" / "x.json", {}, {}, {}, "")


@pytest.mark.gemma
@pytest.mark.slow
def test_a_shipped_range_is_what_the_model_gives(gemma, cache_root):
    """One layer, measured anew."""
    store = Store(cache_root)
    study = open_study(builtin(store), gemma.card, ReadSpec())
    load_or_extract(store, study.plan, lambda: gemma)
    for axis, ends in measure_safe_ranges(store, study, gemma, RangeSpec(12)).items():
        assert shipped_dose(study, SweepSpec(axis, 12)).safe == ends
