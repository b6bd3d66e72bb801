"""The paper's recipe against its formulas, computed slowly, and against planted cases."""

import math

import numpy as np
import pytest
import torch

from core.alignment.paper import (
    EPOCHS,
    FAULTS,
    TERMS,
    Banks,
    Paper,
    alignment_term,
    banks_of,
    choose_banks,
    one_cycle,
    one_dimension_term,
    polarity_term,
    prototypicality_term,
    sampler_weights,
    term_verdicts,
)
from core.alignment.spec import AlignmentError, AlignSpec
from core.alignment.splice import Splice
from core.alignment.train import AlignStep, learn
from tests.core.alignment.alignsets import planted


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def graded(n=40, seed=0):
    """Return grades of texts of one foundation each, some neutral, ``(n, 10)``."""
    rng = np.random.default_rng(seed)
    grades = np.zeros((n, 10))
    grades[np.arange(n), rng.integers(0, 10, n)] = rng.choice([0, 0.25, 0.5, 0.75, 1.0], n)
    return grades


def correlated():
    """Return correlations of 8 latents with the dimensions."""
    r = np.full((8, 10), 0.02)
    r[0, 0] = 0.5  # care alone
    r[1, 0], r[1, 2] = 0.3, 0.25  # care and fairness: not strict
    r[2, 1] = 0.2  # harm alone
    r[3, 4] = -0.4  # falls with loyalty: strict by its size, follows nothing
    r[4, 2] = 0.1  # not above the threshold
    r[5] = np.nan
    r[6, 2], r[6, 3] = 0.12, 0.15
    return r


def test_latents_are_chosen_by_the_papers_rules():
    banks = banks_of(correlated())
    np.testing.assert_array_equal(banks.latents, [0, 1, 2, 3, 6])
    np.testing.assert_array_equal(banks.primary, [0, -1, 1, 4, -1])
    np.testing.assert_allclose(banks.readout[:2, 0], [0.5 / 0.8, 0.3 / 0.8])
    np.testing.assert_allclose(banks.readout[[1, 4], 2], [0.25 / 0.37, 0.12 / 0.37])
    assert banks.readout[3].sum() == 0
    found = [(a.tolist(), b.tolist()) for a, b in banks.poles]
    assert found == [([0, 1], [2]), ([1, 4], [4])]
    many = np.zeros((200, 10))
    many[:, 0] = np.linspace(0.2, 0.9, 200)
    many[:, 1] = many[:, 0] / 1.4  # none is strict
    bank = banks_of(many)
    np.testing.assert_array_equal(bank.latents, np.arange(150, 200))
    assert [len(side) for side in bank.poles[0]] == [20, 20]
    with pytest.raises(AlignmentError, match="No latent follows"):
        banks_of(np.full((8, 10), 0.05))


def test_the_alignment_term_is_its_formula_and_best_at_silence_for_low_grades():
    readout, grades = drawn(40, 10).abs(), graded()
    cells = [
        (1 / (1 + math.exp(-float(readout[i, j]))) - grades[i, j]) ** 2
        for i in range(40)
        for j in range(10)
        if grades[i, j] > 0
    ]
    found = float(alignment_term(readout, torch.tensor(grades)))
    assert found == pytest.approx(sum(cells) / len(cells))
    low = torch.full((4, 10), 0.25, dtype=torch.float64)
    silence = float(alignment_term(torch.zeros(4, 10).double(), low))
    assert silence == 0.0625  # D1: nothing above 0 does better
    assert float(alignment_term(torch.full((4, 10), 0.1).double(), low)) > silence
    assert float(alignment_term(readout, torch.zeros(40, 10))) == 0


def test_the_polarity_term_is_its_formula_whatever_the_foundation():
    codes, grades = drawn(40, 6).abs(), graded()
    poles = ((np.array([0, 1]), np.array([2])), (np.array([3]), np.array([1, 4])))
    total = 0.0
    for virtue, vice in poles:
        for side, (own, other) in enumerate(((virtue, vice), (vice, virtue))):
            rows = [i for i in range(40) if grades[i, side::2].max() > 0.3]
            gaps = [0.5 - float(codes[i, own].mean()) + float(codes[i, other].mean()) for i in rows]
            total += sum(max(0, one) for one in gaps) / len(rows)
    grades = torch.tensor(grades)
    assert float(polarity_term(codes, grades, poles)) == pytest.approx(total / 4)
    assert float(polarity_term(codes, grades * 0.2, poles)) == 0  # nobody above .3
    assert float(polarity_term(codes, grades, ())) == 0


def slow_pairs(readout, grades, rng):
    parts = []
    for j in range(10):
        rows = [i for i in range(len(grades)) if grades[i, j] > 0]
        if len(rows) < 16:
            continue
        shuffled = [rows[one] for one in rng.permutation(len(rows))]
        m = min(100, len(rows) * (len(rows) - 1) // 2)
        if 2 * m <= len(rows):
            pairs = list(zip(shuffled[:m], shuffled[m : 2 * m], strict=True))
        else:
            few = shuffled[:m]
            pairs = list(zip(few, few[1:] + few[:1], strict=True))
        costs = [
            max(0.0, 0.1 - (grades[a, j] - grades[b, j]) * float(readout[a, j] - readout[b, j]))
            for a, b in pairs
        ]
        parts.append(sum(costs) / len(costs))
    return sum(parts) / len(parts)


@pytest.mark.parametrize("n", [60, 500])
def test_the_order_term_is_its_formula_with_both_kinds_of_pairs(n):
    rng = np.random.default_rng(3)
    grades = np.zeros((n, 10))
    grades[:, 2] = rng.choice([0.25, 0.5, 1.0], n)
    grades[:20, 5] = 0.5
    grades[20:30, 7] = 0.5  # too few
    readout = drawn(n, 10)
    found = prototypicality_term(readout, torch.tensor(grades), np.random.default_rng(1))
    assert float(found) == pytest.approx(slow_pairs(readout, grades, np.random.default_rng(1)))
    still = torch.zeros(n, 10).double()
    silent = prototypicality_term(still, torch.tensor(grades), np.random.default_rng(1))
    assert float(silent) == pytest.approx(0.1)  # D6: ties and silence cost a constant
    few = torch.tensor(grades[:8])
    assert float(prototypicality_term(still[:8], few, np.random.default_rng(1))) == 0


def test_the_term_of_one_dimension_counts_neutral_texts_as_care():
    codes, grades = drawn(40, 5).abs(), graded()
    primary = np.array([0, -1, 3, 0, 9])
    total = sum(
        float(codes[i, k]) ** 2
        for i in range(40)
        for k in range(5)
        if primary[k] >= 0 and primary[k] != grades[i].argmax()
    )
    found = one_dimension_term(codes, torch.tensor(grades), torch.tensor(primary))
    assert float(found) == pytest.approx(total / (40 * 4))
    neutral = one_dimension_term(codes, torch.zeros(40, 10), torch.tensor([0, 0, 0, 0, 0]))
    assert float(neutral) == 0  # D2
    assert float(one_dimension_term(codes, torch.tensor(grades), torch.tensor([-1] * 5))) == 0


@pytest.mark.parametrize("which", ["alignment", "polarity", "order", "one dimension"])
def test_gradients_are_those_of_finite_differences(which):
    grades = torch.tensor(graded())
    poles = ((np.array([0, 1]), np.array([2])),)
    losses = {
        "alignment": lambda one: alignment_term(one, grades),
        "polarity": lambda one: polarity_term(one, grades, poles),
        "order": lambda one: prototypicality_term(
            one, grades.clamp_min(0.1), np.random.default_rng(0)
        ),
        "one dimension": lambda one: one_dimension_term(one, grades, torch.arange(10)),
    }
    assert torch.autograd.gradcheck(losses[which], (drawn(40, 10, seed=2).requires_grad_(),))


def test_the_sampler_overwrites_its_highest_weight_and_lifts_the_rarer_pole():
    grades = np.zeros((7, 10))
    grades[0, 0], grades[1, 1], grades[2, 3] = 1.0, 0.25, 0.5
    grades[3, 3], grades[4, 5], grades[5, 7] = 0.75, 0.6, 0.2
    weights = sampler_weights(grades)
    assert weights.sum() == pytest.approx(1)
    # One virtuous text against five: it counts at most three times.
    np.testing.assert_allclose(weights / weights[6], np.array([6, 1, 1.5, 2, 2, 1, 0.3]) / 0.3)
    swapped = np.zeros_like(grades)
    swapped[:, 0::2], swapped[:, 1::2] = grades[:, 1::2], grades[:, 0::2]
    np.testing.assert_allclose(sampler_weights(swapped), weights)


def test_the_pace_is_torchs_one_cycle():
    leaf = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.AdamW([leaf], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1e-4, total_steps=100, pct_start=0.1, div_factor=25, final_div_factor=1000
    )
    for step in range(100):
        group = optimiser.param_groups[0]
        expected = (group["lr"], group["betas"][0])
        assert one_cycle(step, 100) == pytest.approx(expected, rel=1e-9)
        optimiser.step()
        if step < 99:
            cycle.step()


def planted_paper(n=300, *, unit=True):
    """Return a lesson whose latents tell poles apart, small enough to be trained in a second."""
    dictionary, data, _ = planted(n=n)
    banks = choose_banks(dictionary, data)
    return Paper(Splice(dictionary, banks.latents, unit=unit), banks, data, AlignSpec()), data


def test_on_planted_texts_it_finds_latents_of_poles_and_lowers_its_loss():
    lesson, _ = planted_paper()
    trained = learn(lesson, 0)
    assert trained.best > 0
    assert len(trained.curve) <= EPOCHS + 1
    first, last = trained.curve[0], trained.curve[trained.best]
    assert last.loss < first.loss
    assert len(first.terms) == len(TERMS) == len(trained.silent)
    for step in (first, last):
        total = sum(w * one for w, one in zip(TERMS.values(), step.terms, strict=True))
        assert step.loss == pytest.approx(total, rel=1e-5)  # no dimension has texts for pairs
    lengths = trained.patch.w_dec.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_the_untouched_is_no_candidate_of_the_paper():
    lesson, _ = planted_paper(unit=False)
    lesson.draw = lambda rng: -1e3 * Paper.draw(lesson, rng)  # every step makes it worse
    trained = learn(lesson, 0)
    assert trained.best == 1
    assert trained.curve[1].loss > trained.curve[0].loss


def test_silence_is_what_terms_are_without_the_latents():
    lesson, data = planted_paper(1500)
    rec, _, align, polarity, order, one = lesson.silent
    grades = data.membership[data.of("validation")]
    assert align == pytest.approx(float(((0.5 - grades[grades > 0]) ** 2).mean()), rel=1e-5)
    assert polarity == pytest.approx(0.5)
    assert order == pytest.approx(0.1)
    assert one == 0
    with torch.no_grad():
        assert rec > lesson.check(0, np.random.default_rng(0)).terms[0]


def test_terms_are_of_the_same_pairs_at_each_check_and_the_loss_is_not():
    lesson, _ = planted_paper(1500)
    rng = np.random.default_rng(3)
    with torch.no_grad():
        one, other = (lesson.check(0, rng) for _ in range(2))
    assert one.terms == other.terms
    assert one.loss != other.loss


def test_a_term_that_only_falls_to_what_silence_gives_is_no_improvement():
    def step(*terms):
        return AlignStep(0, 0.0, 0.0, 0.0, 0.0, 0.0, terms=terms)

    curve = (step(1.0, 1.0, 0.3, 0.5, 0.1, 2.0), step(0.8, 1.0, 0.21, 0.4, 0.12, 1.0))
    found = term_verdicts(curve, 1, (3.0, 0.9, 0.2, 0.5, 0.1, 0.0))
    assert [one.said for one in found] == [
        "improved",
        "not improved",
        "towards silence",
        "improved",
        "not improved",
        "towards silence",
    ]
    assert found[2][:4] == ("alignment", 0.3, 0.21, 0.2)


def test_each_fault_is_told_in_one_sentence():
    for told in FAULTS.values():
        assert told.endswith(".")
        assert len(told) < 170


def test_banks_hold_places_of_their_latents():
    banks = banks_of(correlated())
    assert isinstance(banks, Banks)
    assert all(place.max() < len(banks.latents) for pair in banks.poles for place in pair)
