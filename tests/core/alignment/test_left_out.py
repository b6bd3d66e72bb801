"""A foundation left out teaches nothing, and its test texts are told with intervals."""

import numpy as np
import pytest
import torch

from core.alignment.arms import Aligned
from core.alignment.data import moral_latents
from core.alignment.jobs import Divergence
from core.alignment.left_out import (
    APART,
    OPPOSING,
    changes_of,
    check_texts,
    figures_of,
    left_out,
    opposing_cosine,
)
from core.alignment.spec import AlignmentError
from core.foundations import FOUNDATIONS
from core.sae.dictionary import sparse_codes
from core.sae.patches import Patch
from tests.core.alignment.alignsets import planted
from tests.core.alignment.test_jobs import QUICK, aligned  # noqa: F401 - a fixture


def test_a_foundation_left_out_trains_nothing_and_chooses_no_latents():
    dictionary, data, _ = planted()
    data.membership[0, [0, 4]] = 0.5  # care, and loyalty beside it
    data.foundation[0] = 0
    data.split[0] = "train"
    less = data.without(2)
    own = data.membership[:, 4:6].max(axis=1) > 0
    for split in ("train", "validation"):
        assert not own[less.of(split)].any()
        assert set(less.of(split)) == set(data.of(split)[~own[data.of(split)]])
    assert less.split[0] == "left out"
    np.testing.assert_array_equal(less.of("test"), data.of("test"))
    codes = sparse_codes(dictionary, data.means)
    assert len(moral_latents(codes, data, 1, 8)) == 5
    assert len(moral_latents(codes, less, 1, 8)) == 4


def test_opposing_cosine_and_its_jackknife_are_those_of_plain_means():
    rng = np.random.default_rng(0)
    states, virtue = rng.normal(size=(9, 4)), np.array([1, 1, 0, 1, 0, 0, 1, 0, 1], bool)

    def plain(kept):
        one, other = states[kept & virtue].mean(axis=0), states[kept & ~virtue].mean(axis=0)
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    found = opposing_cosine(states, virtue)
    assert found.value == pytest.approx(plain(np.ones(9, bool)))
    for row in range(9):
        kept = np.arange(9) != row
        assert found.without[row] == pytest.approx(plain(kept))


def test_poles_are_parted_along_what_the_other_four_teach():
    _, data, _ = planted(n=600)
    nothing = np.zeros(data.means.shape)
    opposing, apart = figures_of(data, 0, nothing)
    assert len(opposing.without) == len(apart.without)
    # A push along one axis of good and bad, on all texts by their grade.
    axis = np.zeros(data.means.shape[1])
    axis[3] = 2.0
    pushed = data.signed.sum(axis=1)[:, None] * axis
    opposing_after, apart_after = figures_of(data, 0, pushed)
    assert apart_after.value > max(0.95, apart.value)
    assert opposing_after.value < opposing.value - 0.3
    # The axis is that of the other four: what the foundation's own training texts say is not asked.
    own = data.of("train")[data.membership[data.of("train"), :2].max(axis=1) > 0]
    data.membership[own[:, None], [0, 1]] = data.membership[own[:, None], [1, 0]]
    assert figures_of(data, 0, pushed)[1].value == apart_after.value


def test_changes_are_means_over_the_tokens_of_whole_dictionaries():
    dictionary, data, moral = planted()
    start = Patch.of(dictionary, moral)
    after = Patch(moral, start.w_enc, start.b_enc + 0.3, 2 * start.w_dec).applied(
        dictionary, "a", {}
    )
    found = changes_of(Aligned("repaired", 0, after, moral, (), 0, dictionary), data)
    for row in (0, 17, 299):
        states = torch.from_numpy(data.states[data.starts[row] : data.starts[row + 1]])
        change = after.decode(after.encode(states)) - dictionary.decode(dictionary.encode(states))
        np.testing.assert_allclose(found[row], change.mean(dim=0).numpy(), atol=1e-5)


def test_a_foundation_without_test_texts_says_so():
    _, data, _ = planted()
    data.membership[data.of("test"), 3] = 0
    check_texts(data, 0)
    with pytest.raises(AlignmentError, match="of virtue and 0 of vice"):
        check_texts(data, 1)


def test_each_foundation_is_told_before_and_after_and_kept(aligned, monkeypatch):  # noqa: F811
    monkeypatch.setattr("core.alignment.left_out.FEWEST", 1)  # the tiny set has few test texts
    work, study, base, made = aligned
    told = left_out(Divergence(work, study, base, QUICK, (0.001,), 0.001))
    rows = told.get()
    assert [row.foundation for row in rows[::2]] == list(FOUNDATIONS)
    assert {row.figure for row in rows} == {OPPOSING, APART}
    for row in rows:
        assert row.texts >= 2
        assert not row.untouched.low > row.untouched.value
        assert row.gain.value == pytest.approx(row.without.value - row.untouched.value, abs=1e-9)
        assert row.whole_gain.value == pytest.approx(
            row.whole.value - row.untouched.value, abs=1e-9
        )
    again = told.open()
    assert repr(again) == repr(rows)
    arms = [entry.key.get("without") for entry in work.store.artefacts("aligned")]
    assert sorted(one for one in arms if one) == sorted(2 * list(FOUNDATIONS))
    assert made.open() is not None
