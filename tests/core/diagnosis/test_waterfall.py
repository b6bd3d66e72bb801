"""The waterfall: from the paper's figure to the repaired one, each end computed a second time."""

import random
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, r2_score

from core import CoreError
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study, states_of
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis import repairs
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.waterfall import (
    Step,
    paper_read,
    plain_read,
    waterfall,
)
from core.foundations import FOUNDATIONS
from core.layers import EMBEDDING
from core.measures import paper_probe, paper_tests
from core.measures.cohort import cohort_of
from core.measures.result import ALL, NOTHING, TESTS, Measured, Measurement
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.progress import Cancelled, silent
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate
from tests.core.models.madecards import made_card

DRAWS = 20
WIDTH = 12
NAMES = {
    "categorical": ["paper", "texts", "first", "strip", "even", "topic", "layer", "words"],
    "gradient": ["paper", "texts", "first", "strip", "own", "neutral", "even", "layer", "words"],
    "structural": ["paper", "texts", "first", "strip", "noise", "kmeans", "even", "layer", "words"],
    "dimensional": ["paper", "first", "strip", "text", "ridge", "layer", "words"],
}


# A set of items, and two readings of it ---------------------------------------------------------


def worded_rows(n=140, seed=0, judged=(-2, -1, 0, 1, 2), end="."):
    """Return rows of few words; every seventh text stands in two foundations."""
    draw = random.Random(seed)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    rows = []
    for number in range(n):
        text = " ".join(draw.sample(words, 3)) + f" {number}{end}"
        first, second = draw.sample(FOUNDATIONS, 2)
        for foundation in (first, second) if number % 7 == 0 else (first,):
            rows.append((text, foundation, draw.choice(judged), draw.choice([2, 4])))
    return rows


def write_rows(store, rows):
    path = store.root.parent / "table.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return load_or_read(store, ItemSpec("file", path))


def both(items, card):
    return tuple(open_study(items, card, how(ReadSpec())) for how in (paper_read, plain_read))


def made_readings(store, rows, change=None):
    """Return two readings of a model that is not there: noise, after ``change(states, layer)``."""
    card = made_card(layers=2, width=WIDTH)
    studies = both(write_rows(store, rows), card)
    for number, study in enumerate(studies):
        for layer in study.plan.layers:
            for place, pooling in enumerate(study.plan.spec.poolings):
                rng = np.random.default_rng([number, layer + 1, place])
                states = rng.normal(size=(len(study.plan.prompts), WIDTH)).astype(np.float32)
                if change is not None:
                    change(states, layer)
                store.save_array("acts", study.plan.key(layer, pooling), states)
    return studies


def measured(store, studies, draws=DRAWS, report=silent, **options):
    return waterfall(store, *studies, draws=draws, **options).get(report)


def assert_same(one, other):
    assert repr(one) == repr(other)  # NaN is not equal to itself


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_llama_folder):
    """Return a store in which the tiny Llama read a set both ways, and the finished waterfall."""
    store = Store(tmp_path_factory.mktemp("waterfall") / "store")
    card = describe(ModelSpec("folder", str(tiny_llama_folder), device="cpu"), store)
    studies = both(write_rows(store, worded_rows()), card)
    for study in studies:
        load_or_extract(store, study.plan, lambda: open_model(card, store))
    with pytest.MonkeyPatch.context() as patch:  # so that 160 rows have clusters
        patch.setattr(paper_tests, "SMALLEST_CLUSTER", 5)
        patch.setattr(paper_tests, "MIN_SAMPLES", 2)
        return store, *studies, measured(store, studies)


@pytest.fixture(scope="module")
def papers(tiny):
    """Return each decoder layer's states as the paper pools them, a row per item."""
    store, paper, _, _ = tiny
    states = states_of(store, paper)
    return {
        layer: states.prompt_states(layer, "mean_all").astype(np.float64)[paper.plan.rows]
        for layer in paper.plan.layers
        if layer != EMBEDDING
    }


@pytest.fixture(scope="module")
def centred(papers):
    """Return the same from the mean of all rows."""
    return {layer: one - one.mean(axis=0) for layer, one in papers.items()}


@pytest.fixture(scope="module")
def cohort(tiny):
    return cohort_of(tiny[2].items, draws=DRAWS, shuffles=0)


# Steps ------------------------------------------------------------------------------------------


def test_every_test_has_its_repairs_in_order(tiny):
    found = tiny[3]
    assert list(found) == list(TESTS)
    for test, keys in NAMES.items():
        steps = found[test]
        assert [(one.name, one.why) for one in steps] == [repairs.REPAIRS[key] for key in keys]
        assert {one.test for one in steps} == {test}
        assert len({one.name for one in steps}) == len(steps)


def test_every_figure_of_the_tiny_model_can_be_computed_and_has_an_interval(tiny):
    for step in (one for steps in tiny[3].values() for one in steps):
        assert np.isfinite(step.figure).all(), step
        assert step.figure.low < step.figure.high, step
        assert (step.layer is None) == (step.where == "each pole's highest")
        assert step.layer in {None, 0, 1, 2}


def test_a_change_is_the_difference_of_neighbouring_figures(tiny):
    for steps in tiny[3].values():
        assert np.isnan(steps[0].change).all()
        for before, step in pairwise(steps):
            assert step.change.value == pytest.approx(step.figure.value - before.figure.value)
            assert step.change.low <= step.change.high


def test_only_the_gradient_has_a_layer_for_each_pole_and_none_after_the_choice(tiny):
    for test, steps in tiny[3].items():
        own = [one.layer is None for one in steps]
        assert own == ([True] * 7 + [False] * 2 if test == "gradient" else [False] * len(steps))


def test_the_reading_differs_from_the_papers_where_texts_end_in_a_full_stop(tiny):
    _, paper, plain, found = tiny
    assert all(". is morally" in one for one in paper.plan.prompts)
    assert not any("." in one for one in plain.plan.prompts)
    for test in TESTS:
        step = next(one for one in found[test] if one.name == repairs.REPAIRS["strip"][0])
        assert step.change.value != 0


def test_each_resample_takes_its_own_highest_layer():
    draws = {layer: np.random.default_rng(layer).normal(size=400) for layer in (0, 1)}
    value = {0: 0.2, 1: 0.1}
    scored = {}
    for layer, one in draws.items():
        figure = Measurement("dimensional", "R²", ALL, 9, Estimate(value[layer], 0, 1), NOTHING)
        scored[layer] = Measured((figure,), one.astype(np.float32), np.zeros(0, np.float32))
    found = repairs._best(scored, None)
    highest = np.maximum(draws[0], draws[1])
    assert (found.value, found.layer) == (0.2, 0)
    np.testing.assert_allclose(found.draws, highest - highest.mean() + 0.2, atol=1e-6)


# First steps: the paper's procedure, computed a second time -------------------------------------


def test_the_first_opposition_is_the_papers(tiny, centred, cohort):
    step = tiny[3]["categorical"][0]
    spread, opposition = {}, {}
    for layer, states in centred.items():
        middle = np.stack([states[own].mean(axis=0) for own in cohort.members.T])
        unit = middle / np.linalg.norm(middle, axis=1, keepdims=True)
        cosine = unit @ unit.T
        spread[layer] = cosine[~np.eye(10, dtype=bool)].mean()
        opposition[layer] = -np.mean([cosine[2 * one, 2 * one + 1] for one in range(5)])
    best = min(spread, key=spread.get)
    assert step.layer == best
    assert step.figure.value == pytest.approx(opposition[best], abs=1e-5)


def plain_gradient(states, cohort, left_out, neutrals):
    """Return each pole's correlation and Fisher weight by loops."""
    values, weights = [], []
    for pole in range(10):
        rows = cohort.labels.dimension == pole
        if neutrals:
            rows |= (cohort.labels.dimension < 0) & (cohort.foundation == pole // 2)
        near = []
        for row in np.flatnonzero(rows):
            members = cohort.members[:, pole]
            if left_out:
                members = members & (cohort.text != cohort.text[row])
            middle = states[members].mean(axis=0)
            near.append(states[row] @ middle / np.linalg.norm(states[row]) / np.linalg.norm(middle))
        values.append(spearmanr(cohort.labels.grade[rows], near).statistic)
        weights.append(len(set(cohort.text[rows].tolist())) - 3)
    return np.array(values), np.array(weights)


@pytest.mark.parametrize("left_out", [False, True])
def test_the_first_gradient_is_the_papers(tiny, centred, cohort, left_out):
    store, _, plain, found = tiny
    name, layers = repairs.REPAIRS["own" if left_out else "paper"][0], centred
    if left_out:  # by then the first token and the full stop are out
        states = states_of(store, plain)
        raw = {layer: states.prompt_states(layer, "mean").astype(np.float64) for layer in centred}
        layers = {layer: (one - one.mean(axis=0))[plain.plan.rows] for layer, one in raw.items()}
    step = next(one for one in found["gradient"] if one.name == name)
    both = [plain_gradient(one, cohort, left_out, neutrals=True) for one in layers.values()]
    highest = np.max([values for values, _ in both], axis=0)
    mean = np.tanh(np.average(np.arctanh(np.clip(highest, -0.99, 0.99)), weights=both[0][1]))
    assert step.figure.value == pytest.approx(mean, abs=1e-5)
    assert step.figure.low < step.figure.value < step.figure.high


# The paper's script, from the rows of the table ---------------------------------------------------


def typical_rows(seed=0):
    """Return 14 typical texts per pole, others and neutrals; some texts stand in all foundations.

    These are typical, too, and differ from the others, so that the mean of all rows is not that of
    all different texts.
    """
    draw, rows = random.Random(seed), []
    for foundation in FOUNDATIONS:
        name = foundation.replace("-", " ")
        for judged, side in ((2, "good"), (-2, "bad")):
            rows += [(f"{side} {name} {n}.", foundation, judged, 4) for n in range(14)]
            for n in range(24):
                grade = draw.choice([(1, 2), (1, 4), (2, 2), (2, 3)])
                rows.append(
                    (f"{side}ish {name} {n}.", foundation, grade[0] * judged // 2, grade[1])
                )
        rows += [(f"so so {name} {n}.", foundation, 0, draw.choice([2, 4])) for n in range(12)]
    for number in range(9):
        judged = draw.choice([-2, 2])
        rows += [(f"repeated {number}.", foundation, judged, 4) for foundation in FOUNDATIONS]
    return rows


def repeated_readings(store):
    """Return two readings with a massive coordinate that repeated texts have more of."""
    rows = typical_rows()
    again = np.array(["repeated" in text for text in sorted({text for text, *_ in rows})])

    def massive(states, _layer):
        states[:, 0] = 900 + 40 * np.abs(states[:, 0]) + 60 * again

    return made_readings(store, rows, massive)


def script(rows, prompts, by_layer):
    """Return the paper's opposition, its layer, and each category's highest correlation.

    After the released code: one record per row, repeats and all; the mean of all records is taken
    off; a prototype is the mean of the records of score 1; the layer of the opposition is that of
    the lowest mean cosine of different prototypes; a polarised record has the cosine to its own
    prototype, a neutral one those to both of its foundation, with the label 0.
    """
    at = np.array([prompts.index(f"{text} is morally") for text, *_ in rows])
    dimension = np.array([FOUNDATIONS.index(one[1]) for one in rows])
    signed = np.array([judged / 2 * agreed / 4 for *_, judged, agreed in rows])
    category = 2 * dimension + (signed < 0)
    lowest, correlations = {}, []
    for layer, states in by_layer.items():
        records = states[at].astype(np.float64)
        records -= records.mean(axis=0)
        typical = [(category == c) & (np.abs(signed) == 1) for c in range(10)]
        prototypes = np.stack([records[own].mean(axis=0) for own in typical])
        unit = prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)
        cosine = unit @ unit.T
        opposed = np.mean([cosine[2 * d, 2 * d + 1] for d in range(5)])
        lowest[layer] = (cosine[~np.eye(10, dtype=bool)].mean(), -opposed)
        near = records @ unit.T / np.linalg.norm(records, axis=1, keepdims=True)
        found = []
        for c in range(10):
            own = np.where(signed == 0, dimension == c // 2, category == c)
            found.append(spearmanr(np.abs(signed)[own], near[own, c]).statistic)
        correlations.append(found)
    best = min(lowest, key=lambda layer: lowest[layer][0])
    return lowest[best][1], best, np.max(correlations, axis=0), typical


def desk_of(store, paper, plain, draws=DRAWS):
    cohort = cohort_of(plain.items, draws=draws, shuffles=0)
    layers = repairs.layers_of(store, paper, plain)
    return repairs.RepairContext(store, paper, plain, cohort, layers, silent)


def test_the_first_bars_are_those_of_a_script_that_counts_every_row(store):
    rows = typical_rows()
    paper, plain = repeated_readings(store)
    assert len(paper.plan.prompts) < len(paper.items) == len(rows)
    desk = desk_of(store, paper, plain)
    states = {one: states_of(store, paper).prompt_states(one, "mean_all") for one in desk.layers}
    opposed, layer, highest, typical = script(rows, list(paper.plan.prompts), states)

    texts = [text for text, *_ in rows]
    own = paper.items.texts()
    for column in range(10):  # the same centre members, repeats counted
        mine = sorted(own[row] for row in np.flatnonzero(desk.cohort.members[:, column]))
        assert mine == sorted(texts[row] for row in np.flatnonzero(typical[column]))

    (_, first), (name, second), *_ = repairs.chain("categorical")
    found = first(desk)
    assert found.layer == layer
    assert found.value == pytest.approx(opposed, abs=1e-5)
    assert name == "texts"
    over_texts = second(desk)
    assert abs(over_texts.value - opposed) > 0.1
    assert np.isfinite(over_texts.draws - found.draws).all()

    (_, first), (_, second), *_ = repairs.chain("gradient")
    labels = desk.cohort.labels.dimension
    weights = []
    for column in range(10):
        neutral = (labels < 0) & (desk.cohort.foundation == column // 2)
        weights.append(len(np.unique(desk.cohort.text[(labels == column) | neutral])) - 3)
    mean = np.tanh(np.average(np.arctanh(highest), weights=weights))
    assert first(desk).value == pytest.approx(mean, abs=1.5e-4)
    assert abs(second(desk).value - mean) > 0.01


def test_clusters_do_not_depend_on_what_is_centred_over(store, monkeypatch):
    monkeypatch.setattr(paper_tests, "SMALLEST_CLUSTER", 5)
    monkeypatch.setattr(paper_tests, "MIN_SAMPLES", 2)
    paper, plain = repeated_readings(store)
    desk = desk_of(store, paper, plain)
    for layer in desk.layers:
        rows, texts = (desk.states(how, layer) for how in (repairs._PAPER, repairs._TEXTS))
        assert np.abs(rows - texts).max() > 1
        one, other = (paper_tests.density_clusters(states) for states in (rows, texts))
        assert one.max() > 0
        np.testing.assert_array_equal(one, other)


def test_the_first_agreement_is_the_papers(tiny, centred, cohort):
    from sklearn.cluster import HDBSCAN

    classes = 3 * cohort.foundation + cohort.sign
    scores, all_rows = {}, {}
    for layer, states in centred.items():
        reduced = PCA(0.95, svd_solver="full").fit_transform(states.astype(np.float32))
        found = HDBSCAN(min_cluster_size=5, min_samples=2, copy=True).fit_predict(reduced)
        clear = found >= 0
        all_rows[layer] = adjusted_rand_score(classes, found)
        scores[layer] = adjusted_rand_score(classes[clear], found[clear])
    step = tiny[3]["structural"][0]
    assert step.layer == max(scores, key=scores.get)
    assert step.figure.value == pytest.approx(scores[step.layer], abs=1e-6)


def test_the_first_probe_is_the_papers(tiny, papers, cohort):
    split = paper_probe.row_split(len(cohort))
    scores = {}
    for layer, states in papers.items():
        predicted = paper_probe.train(states.astype(np.float32), cohort.vectors, split)
        scores[layer] = r2_score(cohort.vectors[split.test], predicted)
    step = tiny[3]["dimensional"][0]
    assert step.layer == max(scores, key=scores.get)
    assert step.figure.value == pytest.approx(scores[step.layer], abs=1e-5)


# Last steps: the scorecard ----------------------------------------------------------------------


def test_the_last_two_steps_are_the_scorecards_figure_and_the_same_minus_words(tiny):
    store, _, plain, found = tiny
    how = DiagnosisSpec(scaling="standardised", draws=DRAWS, shuffles=DRAWS)
    scorecard = four_tests(store, plain, how).get()
    for test in TESTS:
        layer, words = found[test][-2:]
        chosen = scorecard.chosen[test]
        own = scorecard.layers[chosen].reported(test)
        bag = scorecard.baselines["words"].reported(test)
        assert layer.layer == words.layer == chosen
        np.testing.assert_allclose(layer.figure, own.observed, atol=1e-6)
        assert words.figure.value == pytest.approx(own.observed.value - bag.observed.value)
        assert words.change.value == pytest.approx(-bag.observed.value)


# Kept -------------------------------------------------------------------------------------------


def test_what_is_stored_opens_as_it_was_and_is_not_measured_again(tiny, monkeypatch):
    store, paper, plain, found = tiny
    monkeypatch.setattr("core.diagnosis.waterfall.chain", None)
    again = Store(store.root)
    assert_same(waterfall(again, paper, plain, draws=DRAWS).open(), found)
    assert_same(measured(again, (paper, plain)), found)
    assert all(isinstance(one, Step) for steps in found.values() for one in steps)


def test_other_draws_or_another_seed_are_another_waterfall(tiny):
    store, paper, plain, _ = tiny
    assert waterfall(store, paper, plain, draws=DRAWS + 1).open() is None
    assert waterfall(store, paper, plain, draws=DRAWS, seed=1).open() is None


@pytest.mark.slow
def test_two_fresh_stores_give_the_same_steps(tmp_path):
    found = []
    for name in ("one", "two"):
        store = Store(tmp_path / name / "store")
        found.append(measured(store, made_readings(store, worded_rows(60)), draws=5))
    assert_same(*found)


def test_a_cancelled_waterfall_keeps_nothing_half_and_can_be_started_again(store, monkeypatch):
    monkeypatch.setattr("core.diagnosis.waterfall.TESTS", ("categorical", "gradient"))
    studies = made_readings(store, worded_rows(40))

    def stop(_done, _of, words):
        if words.startswith("gradient test: every coordinate"):
            raise Cancelled

    with pytest.raises(Cancelled):
        measured(store, studies, draws=4, report=stop)
    assert waterfall(store, *studies, draws=4).open() is None
    assert "waterfall" not in {one.kind for one in store.artefacts()}
    steps = []
    found = measured(store, studies, draws=4, report=lambda *one: steps.append(one))
    assert_same(found, waterfall(store, *studies, draws=4).open())
    shares = [done / of for done, of, _ in steps]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9
    assert steps[0][2].startswith("categorical test: the paper's procedure")


def test_items_that_were_not_read_both_ways_are_a_sentence(tiny, monkeypatch):
    store, paper, _, _ = tiny
    unread = open_study(paper.items, paper.card, ReadSpec(template="{action}, which is"))
    with pytest.raises(CoreError, match="has not read"):
        measured(store, (paper, unread))


# Truth and bad input ----------------------------------------------------------------------------


def test_a_reading_keeps_its_template_and_no_more():
    own = ReadSpec(template="I think {action} is", strip=False, max_tokens=40, poolings=("last",))
    assert paper_read(own).template == plain_read(own).template == own.template
    assert (paper_read(own).strip, plain_read(own).strip) == (False, True)
    assert "mean_all" in paper_read(own).poolings
    assert paper_read(paper_read(own)) == paper_read(plain_read(own)) == paper_read(own)


def test_without_final_punctuation_both_readings_are_one_and_stripping_changes_nothing(
    store, llama_spec
):
    card = describe(llama_spec, store)
    studies = both(write_rows(store, worded_rows(40, end="")), card)
    for study in studies:
        load_or_extract(store, study.plan, lambda: open_model(card, store))
    assert studies[0].plan.prompts == studies[1].plan.prompts
    found = measured(store, studies, draws=5)
    for test in ("categorical", "gradient", "dimensional"):
        step = next(one for one in found[test] if one.name == repairs.REPAIRS["strip"][0])
        np.testing.assert_allclose(step.change, 0, atol=1e-6)


def nan_steps(steps):
    return [key for key, one in zip(NAMES[steps[0].test], steps, strict=True) if is_nothing(one)]


def is_nothing(step):
    return bool(np.isnan(step.figure).all())


def test_fewer_rows_than_a_cluster_needs_are_not_computable_and_the_others_stay(store):
    found = measured(store, made_readings(store, worded_rows(85)), draws=5)
    assert nan_steps(found["structural"]) == ["paper", "texts", "first", "strip"]
    assert found["structural"][0].where == "–"
    changes = [np.isnan(one.change.value) for one in found["structural"]]
    assert changes == [True] * 5 + [False] * 4  # nor is what changed from nothing a number
    for test in ("categorical", "gradient", "dimensional"):
        assert nan_steps(found[test]) == []


def test_only_neutral_actions_have_neither_opposition_nor_gradient(store):
    found = measured(store, made_readings(store, worded_rows(60, judged=(0,))), draws=5)
    assert nan_steps(found["categorical"]) == NAMES["categorical"]
    assert nan_steps(found["gradient"]) == NAMES["gradient"]


def test_a_layer_whose_states_are_not_finite_is_left_out(store):
    def broken(states, layer):
        if layer == 1:
            states[3, 2] = np.inf

    studies = made_readings(store, worded_rows(85), broken)
    found = measured(store, studies, draws=5)
    for test in ("categorical", "gradient", "dimensional"):
        assert nan_steps(found[test]) == []
        assert {one.layer for one in found[test]} <= {None, 0}


def test_where_no_layer_can_be_measured_nothing_is(store):
    def broken(states, _layer):
        states[:] = 1.0

    found = measured(store, made_readings(store, worded_rows(40), broken), draws=5)
    for test in TESTS:
        assert nan_steps(found[test]) == NAMES[test]


def test_without_resamples_figures_have_no_interval(store):
    found = measured(store, made_readings(store, worded_rows(85)), draws=0)
    for step in found["categorical"]:
        assert np.isfinite(step.figure.value)
        assert np.isnan(step.figure.low)
    assert np.isfinite(found["categorical"][1].change.value)


def test_too_many_rows_are_clustered_by_a_sample_of_them(store, monkeypatch):
    monkeypatch.setattr(paper_tests, "MOST_CLUSTERED", 100)
    monkeypatch.setattr(paper_tests, "SMALLEST_CLUSTER", 5)
    monkeypatch.setattr(paper_tests, "MIN_SAMPLES", 2)
    made = []
    monkeypatch.setattr(
        paper_tests, "density_clusters", partial(kept, made, paper_tests.density_clusters)
    )
    paper, plain = made_readings(store, worded_rows(120))
    found = measured(store, (paper, plain), draws=5)["structural"]
    cohort = cohort_of(paper.items, draws=0, shuffles=0)
    classes = 3 * cohort.foundation + cohort.sign
    scores = []
    for clusters in made[-2:]:  # both layers of the step that counts noise
        asked = clusters != paper_tests.NOT_ASKED
        assert asked.sum() == 100
        scores.append(adjusted_rand_score(classes[asked], clusters[asked]))
    assert found[4].figure.value == pytest.approx(max(scores), abs=1e-6)


def kept(made, work, *given, **options):
    made.append(work(*given, **options))
    return made[-1]
