"""What an outcome is made of: Brier's score by the library, moral directions of planted texts."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from core.alignment.measure import _brier, moral_axes
from core.alignment.spec import AlignmentError


def test_the_brier_score_is_the_librarys_and_leaves_neutral_texts_out():
    rng = np.random.default_rng(0)
    odds, grade = rng.normal(size=50), rng.choice([-1.0, -0.5, 0, 0.5, 1], 50)
    graded = grade != 0
    chance = 1 / (1 + np.exp(-odds))
    found = _brier(odds, grade)
    assert found.value == pytest.approx(brier_score_loss(grade[graded] > 0, chance[graded]))
    assert (found.without[~graded] == found.value).all()


def test_moral_axes_point_from_vice_to_virtue_of_each_foundation():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0][:5]
    foundation, side = rng.integers(0, 5, 2000), rng.choice([-1.0, 1.0], 2000)
    target = np.zeros((2000, 5))
    target[np.arange(2000), foundation] = side
    states = axes[foundation] * side[:, None] + 0.1 * rng.normal(size=(2000, 8))
    found = moral_axes(states, target)
    np.testing.assert_allclose(found @ axes.T, np.eye(5), atol=0.05)
    with pytest.raises(AlignmentError, match="loyalty-betrayal has no text of one of its poles"):
        moral_axes(states, np.where(np.arange(5) == 2, np.abs(target), target))
