"""How far people who graded one text agree: against plain loops and raters of known reliability."""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import percentileofscore, spearmanr

from core.dataset.labels import Labels, typical_members
from core.dataset.sets import ItemSpec, load_or_read
from core.measures.ceiling import MIN_PAIRS, Graders, graders_of
from core.measures.ceiling import ceiling as measured
from core.measures.cohort import Cohort, cohort_of
from core.runtime.store import Store


def ceiling(cohort):
    """Return the ceiling of rows that tell neither person nor situation."""
    return measured(cohort, Graders())


def cohort_of_rows(rows, draws=200, seed=0):
    """Make a cohort of (text, foundation, signed grade); a grade of 0 is neutral."""
    text, foundation, signed = (np.array(column) for column in zip(*rows, strict=True))
    dimension = np.where(signed == 0, -1, 2 * foundation + (signed < 0))
    labels = Labels(dimension.astype(np.int64), np.abs(signed).astype(float), text.astype(np.int64))
    return Cohort(
        labels,
        foundation.astype(np.int64),
        np.zeros((len(rows), 10), np.float32),
        typical_members(labels),
        np.arange(len(rows)),
        draws,
        0,
        seed,
    )


def many_raters(seed=0, texts=60, grades=(-1, -0.75, -0.5, 0, 0.25, 0.5, 1)):
    """Yield texts with one to four raters in one or two foundations each."""
    rng = np.random.default_rng(seed)
    for text in range(texts):
        own = rng.choice(grades)
        for foundation in rng.choice(5, rng.choice([1, 2]), replace=False):
            for _ in range(rng.integers(1, 5)):
                yield text, foundation, own if rng.random() < 0.6 else rng.choice(grades)


def raters(reliability, texts=3000, people=2, seed=0):
    """Return virtues graded by several people, each grade with its own noise around the text's."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(texts, 1)) * math.sqrt(reliability)
    seen = true + rng.normal(size=(texts, people)) * math.sqrt(1 - reliability)
    return [(text, 0, 20 + grade) for text in range(texts) for grade in seen[text]]


def cells_of(rows, key):
    cells = {}
    for number, row in enumerate(rows):
        cells.setdefault(key(row), []).append(number)
    return {name: own for name, own in cells.items() if len(own) > 1}


def all_pairs(cells):
    """Return ordered pairs of rows, repeated so that every text has as many as any other."""
    texts = {}
    for (text, _), own in cells.items():
        texts.setdefault(text, []).append(own)
    together = math.lcm(
        *(len(parts) * len(own) * (len(own) - 1) for parts in texts.values() for own in parts)
    )
    pairs = []
    for parts in texts.values():
        for own in parts:
            copies = together // (len(parts) * len(own) * (len(own) - 1))
            pairs += list(permutations(own, 2)) * copies
    return np.array(pairs)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agreement_is_spearmans_correlation_over_all_ordered_pairs(seed):
    rows = list(many_raters(seed))
    cells = cells_of(rows, lambda row: row[:2])
    first, second = np.array([row[2] for row in rows])[all_pairs(cells)].T
    found = ceiling(cohort_of_rows(rows))
    assert found.agreement.value == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)
    assert found.n_texts == len({text for text, _ in cells})
    assert found.n_rows == sum(map(len, cells.values()))
    assert found.reason == ""
    assert found.opposition is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_typicality_is_the_correlation_of_percentiles_within_the_pole(seed):
    rows = list(many_raters(seed, texts=120))

    def pole(row):
        return (row[1], np.sign(row[2]))

    percentile = np.array(
        [
            percentileofscore(
                [abs(other[2]) for other in rows if pole(other) == pole(row)],
                abs(row[2]),
                kind="mean",
            )
            for row in rows
        ]
    )
    cells = cells_of([row if row[2] else (f"neutral {n}", *row[1:]) for n, row in enumerate(rows)],
                     lambda row: (row[0], pole(row)))  # fmt: skip
    first, second = percentile[all_pairs(cells)].T
    found = ceiling(cohort_of_rows(rows)).typicality
    assert found.value == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-12)


def test_with_one_pole_and_two_raters_each_both_correlations_are_spearmans():
    rows = [(text, 2, -abs(grade)) for text, _, grade in raters(0.5, texts=50)]
    grades = np.array([abs(row[2]) for row in rows]).reshape(-1, 2)
    both = np.vstack([grades, grades[:, ::-1]])
    found = ceiling(cohort_of_rows(rows))
    plain = spearmanr(*both.T).statistic
    assert found.agreement.value == pytest.approx(plain, abs=1e-12)
    assert found.typicality.value == pytest.approx(plain, abs=1e-12)


def test_r2_is_the_intraclass_correlation_of_an_analysis_of_variance():
    rows = [row for row in many_raters(3, texts=200) if row[1] == 1]
    cells = cells_of(rows, lambda row: row[:2])
    groups = [np.array([rows[number][2] for number in own]) for own in cells.values()]
    everyone = np.concatenate(groups)
    n, a = len(everyone), len(groups)
    within = sum(((own - own.mean()) ** 2).sum() for own in groups) / (n - a)
    between = sum(len(own) * (own.mean() - everyone.mean()) ** 2 for own in groups) / (a - 1)
    size = (n - sum(len(own) ** 2 for own in groups) / n) / (a - 1)
    expected = (between - within) / (between + (size - 1) * within)
    assert a >= MIN_PAIRS
    assert ceiling(cohort_of_rows(rows)).r2.value == pytest.approx(max(expected, 0), abs=1e-12)


@pytest.mark.parametrize("people", [2, 5])
@pytest.mark.parametrize("reliability", [0.2, 0.6, 0.9])
def test_raters_of_known_reliability(reliability, people):
    found = ceiling(cohort_of_rows(raters(reliability, people=people, seed=1), draws=50))
    spearman = 6 / np.pi * np.arcsin(reliability / 2)  # of normal variables
    assert found.r2.value == pytest.approx(reliability, abs=0.04)
    assert found.agreement.value == pytest.approx(spearman, abs=0.04)
    assert found.typicality.value == pytest.approx(spearman, abs=0.04)


def test_r2_is_what_the_texts_true_mean_reaches():
    rng = np.random.default_rng(0)
    true = rng.normal(size=2000)
    seen = true[:, None] + rng.normal(size=(2000, 3))
    rows = [(text, 0, 20 + grade) for text in range(2000) for grade in seen[text]]
    reached = 1 - ((seen - true[:, None]) ** 2).mean() / seen.var()
    assert ceiling(cohort_of_rows(rows, draws=0)).r2.value == pytest.approx(reached, abs=0.03)


def test_intervals_cover_the_truth():
    hits = 0
    for seed in range(40):
        found = ceiling(cohort_of_rows(raters(0.6, texts=80, seed=seed), seed=seed))
        assert found.r2.low < found.r2.value < found.r2.high
        hits += found.r2.low <= 0.6 <= found.r2.high
    assert hits >= 34


def test_people_who_guess_agree_on_nothing():
    rng = np.random.default_rng(0)
    rows = [(text, 0, grade) for text in range(400) for grade in rng.choice([-1, 0.5, 1], 3)]
    found = ceiling(cohort_of_rows(rows))
    assert abs(found.agreement.value) < 0.1
    assert 0 <= found.r2.value < 0.1
    assert found.agreement.low < 0 < found.agreement.high


def test_people_who_agree_perfectly():
    rows = [(text, 0, (text % 4 + 1) / 4) for text in range(40) for _ in range(3)]
    found = ceiling(cohort_of_rows(rows))
    for figure in (found.agreement, found.typicality, found.r2):
        np.testing.assert_allclose(figure, 1)


def test_a_text_counts_once_whatever_its_foundations():
    rows = [row for row in many_raters(4) if row[1] == 0]
    twice = rows + [(text, 3, grade) for text, _, grade in rows]
    once, again = (ceiling(cohort_of_rows(one)) for one in (rows, twice))
    assert again.n_texts == once.n_texts
    np.testing.assert_allclose(again.agreement, once.agreement, atol=1e-12)


def test_a_text_in_two_foundations_was_not_graded_twice():
    rows = [(text, foundation, 0.5) for text in range(50) for foundation in (0, 1)]
    assert ceiling(cohort_of_rows(rows)).n_texts == 0


@pytest.mark.parametrize(
    ("repeated", "told"),
    [
        (0, "No text of this set was graded by several people, so"),
        (1, "Only 1 text of this set was graded"),
        (MIN_PAIRS - 1, "Only 19 texts of this set were graded"),
    ],
)
def test_too_few_repeated_texts_give_a_sentence_and_no_figure(repeated, told):
    rows = [(text, 0, 0.25 + text % 3 / 4) for text in range(60)]
    rows += [(text, 0, 0.5) for text in range(repeated)]
    found = ceiling(cohort_of_rows(rows))
    assert (found.n_texts, found.n_rows) == (repeated, 2 * repeated)
    assert found.reason.startswith(told)
    assert found.reason.endswith(".")
    for figure in (found.agreement, found.typicality, found.r2):
        assert np.isnan(figure).all()


def test_people_who_never_choose_the_same_pole_have_no_ceiling_of_typicality():
    rows = [(text, 0, grade) for text in range(30) for grade in (-0.5, 0.25 + text % 3 / 4)]
    found = ceiling(cohort_of_rows(rows))
    assert found.agreement.value < 0
    assert found.r2.value == 0
    assert np.isnan(found.typicality).all()
    assert "same pole for 0 of the texts only" in found.reason


def test_one_and_the_same_grade_everywhere_is_said():
    rows = [(text, 0, 0.0 if text < 30 else 1.0) for text in range(60) for _ in range(2)]
    found = ceiling(cohort_of_rows(rows))
    assert found.agreement.value == pytest.approx(1)
    assert "one grade only" in found.reason
    found = ceiling(cohort_of_rows([(text, 0, 0.3) for text in range(60) for _ in range(2)]))
    assert np.isnan([found.agreement, found.typicality, found.r2]).all()
    assert "one and the same grade" in found.reason


def test_without_resamples_there_are_figures_without_intervals():
    found = ceiling(cohort_of_rows(list(many_raters()), draws=0))
    for figure in (found.agreement, found.typicality, found.r2):
        assert np.isfinite(figure.value)
        assert np.isnan(figure.low)


def test_the_order_of_rows_does_not_matter():
    rows = list(many_raters(5))
    mixed = [rows[number] for number in np.random.default_rng(0).permutation(len(rows))]
    first, second = (ceiling(cohort_of_rows(one)) for one in (rows, mixed))
    for name in ("agreement", "typicality", "r2"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=1e-12)


# Who graded what ----------------------------------------------------------------------------------


def in_situations(texts=60, seed=0):
    """Return rows (text, foundation, grade), persons and situations.

    Every text stands in two situations that call for different grades; two people grade each, and
    the second person grades it again, as before.
    """
    rng = np.random.default_rng(seed)
    rows, person, situation = [], [], []
    for text in range(texts):
        for place in range(2):
            level = rng.choice([0.25, 0.5, 0.75, 1.0])
            for who in (0, 1, 1):
                rows.append((text, 0, level if who else rng.choice([level, 0.5])))
                person.append(f"w{2 * ((2 * text + place) % 14) + who}")
                situation.append(f"s{text}-{place}")
    return rows, np.array(person), np.array(situation)


def test_two_grades_are_two_peoples_of_one_text_in_one_situation():
    rows, person, situation = in_situations()
    found = measured(cohort_of_rows(rows), Graders(person, situation))
    own = [row for number, row in enumerate(rows) if number % 3 < 2]
    alone = [(number // 2, 0, row[2]) for number, row in enumerate(own)]
    expected = ceiling(cohort_of_rows(alone))
    assert (found.n_texts, found.n_rows) == (120, 240)
    for name in ("agreement", "r2"):
        assert getattr(found, name).value == pytest.approx(getattr(expected, name).value, abs=1e-12)
    naive = ceiling(cohort_of_rows(rows))
    assert naive.n_rows == len(rows)
    assert naive.r2.value < found.r2.value - 0.1
    assert "one situation, graded by two different people" in found.basis
    assert "no bound" in naive.basis


@pytest.mark.parametrize(
    ("by_person", "by_situation", "told"),
    [(True, False, "a lower bound"), (False, True, "an upper bound"), (False, False, "no bound")],
)
def test_what_the_table_does_not_name_is_said(by_person, by_situation, told):
    rows, person, situation = in_situations()
    graders = Graders(person if by_person else None, situation if by_situation else None)
    found = measured(cohort_of_rows(rows), graders)
    assert told in found.basis
    whole = measured(cohort_of_rows(rows), Graders(person, situation)).r2.value
    if by_situation:
        assert found.r2.value > whole
    elif by_person:
        assert found.r2.value < whole


def test_one_persons_rows_are_no_agreement():
    rows = [(text, 0, 0.25 + text % 4 / 4) for text in range(60) for _ in range(3)]
    person = np.repeat([f"w{text % 9}" for text in range(60)], 3)
    found = measured(cohort_of_rows(rows), Graders(person, np.full(180, "s")))
    assert (found.n_texts, found.n_rows, found.basis) == (0, 0, "")
    assert found.reason.startswith("No text of this set was graded by several people")


def test_rows_that_do_not_tell_what_others_tell_are_left_out():
    rows, person, situation = in_situations()
    person[:6], situation[6:12] = "", ""
    found = measured(cohort_of_rows(rows), Graders(person, situation))
    assert found.n_texts == 116


def test_situations_are_drawn_whole():
    """Twenty texts of a situation with one and the same grades are one observation."""
    rows, person, situation = in_situations()
    many = [(text + 100 * copy, *rest) for copy in range(20) for text, *rest in rows]
    together = Graders(np.tile(person, 20), np.tile(situation, 20))
    once = measured(cohort_of_rows(rows), Graders(person, situation)).r2
    copied = measured(cohort_of_rows(many), together).r2
    assert copied.value == pytest.approx(once.value, abs=0.01)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.15)
    apart = Graders(together.person, None)
    single = measured(cohort_of_rows(many), apart).r2
    assert single.high - single.low < (once.high - once.low) / 2


def test_a_table_in_the_official_columns_is_asked_by_worker_and_situation(tmp_path):
    heads = ("breakdown-worker-id", "rot-worker-id", "situation-short-id")
    needs = ("action", "rot-moral-foundations", "action-moral-judgment", "action-agree", "rot-bad")
    lines = ["\t".join((*needs, "m", *heads))]
    for text in range(30):
        for who, judgement in ((0, 1), (1, 1 + text % 2), (1, 2)):
            cells = (f"doing thing {text}", "care-harm", judgement, 4, 0, 1)
            lines.append("\t".join(map(str, (*cells, f"w{who}", f"r{who}{judgement}", f"s{text}"))))
    path = tmp_path / "official.tsv"
    path.write_text("\n".join(lines) + "\n")
    items = load_or_read(Store(tmp_path / "store"), ItemSpec("file", path))
    found = measured(cohort_of(items), graders_of(items))
    assert (found.n_texts, found.n_rows) == (30, 60)
    assert "one situation" in found.basis
