"""Sequential p-values: valid by chance, and of one mind with asking all controls."""

import numpy as np
import pytest

from core.statistics.false_discovery import counted_p
from core.statistics.sequential import decided_after, deciding, least_p, stopped_p

N, ALPHA = 40, 0.05


def asked(above, fewest=1):
    """Return p of controls asked until it is decided, and how many were asked."""
    after = decided_after(above, len(above), ALPHA)
    if after and max(after, fewest) < len(above):
        return stopped_p(after, len(above), ALPHA), max(after, fewest)
    return counted_p(sum(above), len(above)), len(above)


@pytest.mark.parametrize(
    ("n", "alpha", "expected"),
    [(40, 0.05, 2), (19, 0.05, 1), (39, 0.05, 2), (38, 0.05, 1), (99, 0.05, 5), (4, 0.05, 1)],
)
def test_so_many_controls_above_decide(n, alpha, expected):
    assert deciding(n, alpha) == expected
    assert least_p(n, alpha) == (1 + expected) / (1 + n) > alpha
    if n >= 19:  # with fewer no figure passes at all
        assert counted_p(expected - 1, n) <= alpha


def test_it_is_decided_at_the_place_of_the_last_control_that_was_needed():
    above = [False, True, False, False, True, True]
    assert decided_after(above, N, ALPHA) == 5
    assert decided_after(above[:4], N, ALPHA) == 0
    assert stopped_p(5, N, ALPHA) == 2 / 5
    assert stopped_p(39, N, ALPHA) == 3 / 41  # 2 / 39 would be less than all could give
    assert stopped_p(40, N, ALPHA) > ALPHA


@pytest.mark.parametrize("fewest", [1, 10])
def test_p_is_valid_by_chance_and_agrees_with_asking_all(fewest):
    """A figure drawn as its controls are: p <= a in at most a share a of draws, for every a."""
    rng = np.random.default_rng(0)
    draws, used = 20_000, []
    found = np.empty(draws)
    for draw in range(draws):
        figures = rng.normal(size=1 + N)
        above = (figures[1:] >= figures[0]).tolist()
        found[draw], count = asked(above, fewest)
        used.append(count)
        assert (found[draw] <= ALPHA) == (counted_p(sum(above), N) <= ALPHA)
    for a in np.linspace(0.01, 1, 100):
        assert (found <= a).mean() <= a + 3 * np.sqrt(a * (1 - a) / draws) + 1e-12
    assert np.mean(used) < N / 2
