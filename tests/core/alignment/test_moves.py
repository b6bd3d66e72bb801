"""Where texts move: sums over tokens, exact on linear maps, the same as the spliced model reads."""

import numpy as np
import pytest

from core.activations.study import layer_states, states_of
from core.alignment.data import splits_of
from core.alignment.further import recipe_of
from core.alignment.jobs import trained_arm
from core.alignment.measure import judging_pooling
from core.alignment.moves import (
    SHARES,
    closer,
    fit_curve,
    moved,
    moves,
    places,
    pooled_change,
)
from core.comparison.jobs import reading
from core.comparison.steered import steered
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.measures.geometry import closeness
from tests.core.alignment.test_jobs import QUICK, aligned
from tests.core.benches import finish

__all__ = ["aligned"]


@pytest.fixture(scope="module")
def change(aligned):
    """Return workbench, study, base, an arm's dictionary, and what it changes."""
    work, study, base, _ = aligned
    after = trained_arm(work, study, base, QUICK, "repaired", 0).dictionary
    made = moves(work, study, base, QUICK, "repaired", after.digest)
    finish(work, made)
    return work, study, base, after, made.open()


def test_a_text_moves_by_the_mean_of_its_tokens_and_the_first_token_stays():
    tokens = np.float32([[1, 0], [3, 2], [5, 5]])
    starts = np.array([0, 2, 3])
    np.testing.assert_allclose(pooled_change(tokens, starts, "mean"), [[2, 1], [5, 5]])
    np.testing.assert_allclose(pooled_change(tokens, starts, "last"), [[3, 2], [5, 5]])
    mixed = pooled_change(tokens, starts, "mean_all")
    np.testing.assert_allclose(mixed, [[4 / 3, 2 / 3], [2.5, 2.5]], rtol=1e-6)


def test_the_change_is_what_the_model_reads_with_the_dictionary_spliced_in(change):

    work, study, base, after, found = change
    pooling = judging_pooling(study)
    edited = steered(study, recipe_of(study, base, after, 0.5))
    finish(work, reading(work, edited))
    plain, spliced = (
        states_of(work.store, one).prompt_states(base.info.layer, pooling)
        for one in (study, edited)
    )
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(spliced - plain, 0.5 * found, atol=2e-4)


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_places_begin_where_the_map_has_them_and_are_exact_at_every_share(change, method):

    work, study, base, _, found = change
    spec = ViewSpec(base.info.layer, "mean", method=method)
    several = places(work.store, study, spec, found)
    plain = model_picture(work.store, study, spec, layer_reading(work.store, study, spec)).points
    assert several.shape == (len(SHARES), len(study.items), 2)
    np.testing.assert_allclose(several[0], plain, atol=1e-4)
    half = places(work.store, study, spec, np.float32(0.5) * found)
    np.testing.assert_allclose(half[-1], several[SHARES.index(0.75)], atol=1e-4)
    if method == "pca":  # a straight line
        np.testing.assert_allclose(several[4], 2 * several[2] - several[0], atol=1e-3)


def test_on_a_umap_nothing_moves_at_share_0(change):
    work, study, base, _, found = change
    spec = ViewSpec(base.info.layer, "mean", method="umap")
    several = places(work.store, study, spec, found)

    plain = model_picture(work.store, study, spec, layer_reading(work.store, study, spec)).points
    np.testing.assert_allclose(several[0], plain, atol=1e-4)
    assert np.abs(several[-1] - several[0]).max() > 0


def test_the_table_holds_test_texts_alone_the_furthest_first(change):
    work, study, base, _, found = change
    spec = ViewSpec(base.info.layer, "mean")
    told = moved(work.store, study, spec, found)
    split = splits_of(study)[study.plan.rows]
    assert set(told.table["item"]) == set(study.items.item[split == "test"])
    assert told.table["moved"].is_monotonic_decreasing
    graded = told.table[told.table["pole"] != "neutral"]
    assert told.nearer.value == pytest.approx(graded["own"].mean())
    assert told.table["own"].isna().sum() == (told.table["pole"] == "neutral").sum()


def test_closeness_after_a_move_is_to_the_plain_centres(change):
    work, study, base, _, found = change
    states, scaler = layer_states(work.store, study, base.info.layer, "mean", "standardised")
    by = scaler.moves(found)

    plain = closeness(states[study.plan.rows], study.members, study.labels.group)
    np.testing.assert_allclose(closer(study, states, 0 * by), plain, atol=1e-6)
    row = int(np.flatnonzero(~study.members.any(axis=1))[0])
    prompt = study.plan.rows[row]
    own = (states + by)[prompt]
    centre = states[study.plan.rows][study.members[:, 0]].sum(axis=0)
    cosine = own @ centre / np.linalg.norm(own) / np.linalg.norm(centre)
    assert closer(study, states, by)[row, 0] == pytest.approx(cosine, abs=1e-4)


def test_the_curve_at_share_0_is_the_untouched_figure_of_the_report(change, aligned):
    work, study, base, _, found = change
    curve = fit_curve(work.store, study, base.info.layer, found)
    [plain] = aligned[3].open().figures("untouched", 0.001, "cka")
    assert curve.value[0] == pytest.approx(plain.value, abs=1e-5)
    assert curve.interval[0] == pytest.approx(plain.estimate[1:], abs=1e-4)
    assert (curve.chance[:, 0] < curve.chance[:, 1]).all()
