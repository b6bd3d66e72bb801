"""Centres of many shuffles and resamples at once, against one at a time."""

import numpy as np
import pytest

from core.dataset.labels import Labels, typical_members
from core.measures import centroids
from core.measures.centroids import draw_blocks, resampled_centres, shuffled_centres, to_device
from core.measures.cohort import Cohort


def made_cohort(n=120, seed=0):
    rng = np.random.default_rng(seed)
    foundation, pole = rng.integers(0, 5, n), rng.integers(0, 3, n)
    grade = np.where(pole == 2, 0, rng.choice([0.5, 1.0], n))
    labels = Labels(np.where(pole == 2, -1, 2 * foundation + pole), grade, rng.integers(0, 80, n))
    vectors = np.zeros((n, 10), np.float32)
    return Cohort(labels, foundation, vectors, typical_members(labels), np.arange(n), 7, 7)


@pytest.mark.parametrize("bytes_", [2**26, 1])
def test_shuffled_centres_are_sums_of_the_rows_that_take_the_labels(monkeypatch, bytes_):
    monkeypatch.setattr(centroids, "_BLOCK_BYTES", bytes_)  # 1: each shuffle is a block
    cohort = made_cohort()
    states = np.random.default_rng(1).normal(size=(120, 6)).astype(np.float32)
    for foundation in range(5):
        rows = np.flatnonzero(cohort.foundation == foundation)
        blocks = list(shuffled_centres(to_device(states[rows]), cohort, rows, foundation))
        assert len(blocks) == (7 if bytes_ == 1 else 1)
        shuffle = 0
        for block in blocks:
            for number in range(len(block.takers)):
                takers = cohort.takers[shuffle]
                np.testing.assert_array_equal(rows[block.takers[number]], takers[rows])
                for pole in (0, 1):
                    members = takers[cohort.members[:, 2 * foundation + pole]]
                    mine = rows[block.members[pole, number].cpu().numpy() == 1]
                    assert sorted(members.tolist()) == mine.tolist()
                    np.testing.assert_allclose(
                        block.sums[pole, number].cpu(), states[members].sum(axis=0), atol=1e-5
                    )
                shuffle += 1
        assert shuffle == 7


def test_resampled_centres_count_each_row_as_often_as_its_text_is_drawn():
    cohort = made_cohort()
    states = np.random.default_rng(1).normal(size=(120, 6)).astype(np.float32)
    for column in range(10):
        found = resampled_centres(to_device(states), cohort, column, slice(2, 5)).cpu().numpy()
        for place, draw in enumerate(range(2, 5)):
            expected = np.zeros(6)
            for row in np.flatnonzero(cohort.members[:, column]):
                expected += cohort.weights[draw, cohort.text[row]] * states[row]
            np.testing.assert_allclose(found[place], expected, atol=1e-5)


@pytest.mark.parametrize(("draws", "width"), [(0, 8), (1, 8), (1000, 640), (1000, 10**7)])
def test_blocks_of_resamples_hold_each_once(draws, width):
    blocks = list(draw_blocks(draws, width))
    assert [n for block in blocks for n in range(draws)[block]] == list(range(draws))
    assert all(block.stop > block.start for block in blocks)
    assert max((b.stop - b.start for b in blocks), default=0) <= max(1, 2**26 // (40 * width))
