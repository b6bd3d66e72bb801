"""A share of an aligned dictionary's change as Steer shows it: places, control arms, sentences."""

from dataclasses import replace

import numpy as np
import pytest

from core.alignment.jobs import trained_arm
from core.alignment.moves import SHARES, Edit, fit_curve, moves, moves_of, places
from core.alignment.shares import BESIDE, OWN, arms_beside, shares
from core.maps.view import ViewSpec
from core.sae.dictionary import DictionaryError
from core.sae.shelf import keep_dictionary, open_dictionary, shelved
from core.steering.aligned import aligned_axis, shelved_axis
from core.steering.view import motion_numbers
from tests.core.alignment.test_jobs import QUICK, aligned
from tests.core.benches import finish

__all__ = ["aligned"]

AXIS = "aligned:after:before"


@pytest.fixture(scope="module")
def edit(aligned):
    """Return workbench, study, the aligned dictionary as it comes off the shelf, and its arms."""
    work, study, base, _ = aligned
    arm = trained_arm(work, study, base, QUICK, "repaired", 0)
    keep_dictionary(work.store, arm.dictionary, study.card)
    after = open_dictionary(work.store, study.card, arm.dictionary.digest)
    found = Edit(after, base)
    beside = arms_beside(work, study, found)
    for one in (found, *beside.values()):
        finish(work, moves_of(work, study, one))
    return work, study, found, beside


@pytest.fixture(scope="module")
def shown(edit):
    work, study, found, beside = edit
    spec = ViewSpec(found.before.info.layer, "mean")
    change = moves_of(work, study, found).open()
    others = {arm: moves_of(work, study, one).open() for arm, one in beside.items()}
    return spec, change, others, shares(work.store, study, spec, AXIS, change, others)


def test_what_the_page_of_alignments_has_kept_of_an_arm_is_used(edit):
    work, study, found, beside = edit
    for arm, one in {"repaired": found, **beside}.items():
        kept = moves(work, study, found.before, QUICK, arm, one.after.digest)
        assert moves_of(work, study, one).key == kept.key
    replaced = found._replace(operation="replace")
    assert moves_of(work, study, replaced).key["arm"] == "repaired, replaced"


def test_control_arms_are_found_by_what_the_dictionary_says_of_its_training(edit):
    work, study, found, beside = edit
    assert list(beside) == list(BESIDE)
    assert all(
        one.before is found.before or one.before.digest == found.before.digest
        for one in beside.values()
    )
    assert list(arms_beside(work, study, beside["shuffled"])) == ["random latents", "noise"]
    for about in ({}, {"aligned": "nonsense"}, {"aligned": {"spec": {"latents": 0}}}):
        info = replace(found.after.info, training=about)
        silent = found._replace(after=replace(found.after, info=info))
        assert arms_beside(work, study, silent) == {}
        assert silent.arm == "brought"


def test_the_shelf_knows_aligned_dictionaries_and_what_they_are_called_in_a_recipe(edit):
    work, study, found, _ = edit
    on_shelf = {one.before: one for one in shelved(work.store, study.card)}
    assert set(on_shelf) == {"", found.before.digest}
    one = on_shelf[found.before.digest]
    assert shelved_axis(one) == aligned_axis(found.after, found.before)
    with pytest.raises(DictionaryError, match="does not say what it was before"):
        shelved_axis(one._replace(before="nonsense"))


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_share_0_is_the_untouched_map_and_1_the_aligned_bit_for_bit(edit, shown, method):
    work, study, _, _ = edit
    spec, change, *_ = shown
    spec = replace(spec, method=method)
    found = shares(work.store, study, spec, AXIS, change, {}).motion
    several = places(work.store, study, spec, change)
    for share, there in zip(SHARES, several, strict=True):
        np.testing.assert_array_equal(found.place({AXIS: share}).astype(np.float32), there)
    half = (several[3].astype(float) + several[4]) / 2
    np.testing.assert_allclose(found.place({AXIS: 0.875}), half, atol=1e-6)
    assert found.axes == (AXIS,)
    assert motion_numbers(found)["paths"]["knots"] == list(SHARES)


def test_on_a_umap_of_many_texts_some_are_followed_and_the_rest_go_by_their_mean(
    edit, shown, monkeypatch
):
    work, study, _, _ = edit
    spec, change, *_ = shown
    spec = replace(spec, method="umap")
    every = shares(work.store, study, spec, AXIS, change, {}).motion
    monkeypatch.setattr("core.alignment.shares.MOST", 20)
    some = shares(work.store, study, spec, AXIS, change, {}).motion
    assert len(some.rows) < len(every.rows) == len(study.items)
    np.testing.assert_array_equal(some.points, every.points)
    one, all_of = (motion.place({AXIS: 1.0}) for motion in (some, every))
    np.testing.assert_allclose(one[some.rows], all_of[some.rows], atol=1e-4)
    rest = np.setdiff1d(every.rows, some.rows)
    mean = (one - some.points)[some.rows].mean(axis=0)
    np.testing.assert_allclose((one - some.points)[rest], np.tile(mean, (len(rest), 1)), atol=1e-6)


def test_control_arms_go_as_far_as_the_change_in_the_states(edit, shown):
    work, study, _, _ = edit
    spec, change, others, found = shown
    assert found.motion.fan.ways.shape == (len(others), len(SHARES), 2)
    far = np.linalg.norm(change, axis=1).mean()
    for (arm, one), way in zip(others.items(), found.motion.fan.ways, strict=True):
        scaled = np.float32(far / np.linalg.norm(one, axis=1).mean()) * one
        drawn = places(work.store, study, spec, scaled).astype(float)
        np.testing.assert_allclose(way, (drawn - drawn[0]).mean(axis=1), atol=1e-5)
        assert arm in BESIDE
    assert found.motion.length({AXIS: 1.0}) == pytest.approx(found.motion.fan.lengths[4])


def test_the_table_holds_each_arm_at_each_share_and_the_sentences_say_it(edit, shown):
    work, study, _, _ = edit
    spec, change, _, found = shown
    table = found.table
    assert table["arm"].unique().tolist() == [OWN, *BESIDE]
    assert len(table) == len(SHARES) * table["arm"].nunique()
    assert (table[table["share"] == 0]["moved"] == 0).all()
    own = table[table["arm"] == OWN]
    curve = fit_curve(work.store, study, spec.layer, change)
    np.testing.assert_array_equal(own["CKA"], curve.value)
    np.testing.assert_array_equal(own[["low", "high"]], curve.interval)
    inside = own[own["share"] > 0]
    assert (inside["moved low"] <= inside["moved"]).all()
    assert (inside["moved"] <= inside["moved high"]).all()
    assert [int(one.split()[1]) for one in found.told] == [100 * share for share in SHARES]
    assert all("random latents, as long: " in one for one in found.told)
    alone = shares(work.store, study, spec, AXIS, change, {})
    assert all("no control arm is kept here" in one for one in alone.told)
