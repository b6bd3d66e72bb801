"""What a layer's structure amounts to: found where it was planted, and nowhere else."""

import math
import random
from collections import Counter
from typing import get_args

import numpy as np
import pytest
from scipy.stats import rankdata

from core import CoreError
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset import sets
from core.dataset.labels import Labels, typical_members
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis import evidence
from core.diagnosis.evidence import ASKED, Finding, measure
from core.foundations import FOUNDATIONS
from core.layers import EMBEDDING
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.store import Store
from core.statistics.bag_of_words import bag_of_words
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling, fit_scaler
from tests.core.models.madecards import made_card

NAMES = ("Same foundation", "Same pole", "Typicality")
CHANCE = "not distinguishable from chance"
WORDS = "no better than word counts"
BEYOND = "beyond chance and word counts"
FILLERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
READ = ReadSpec(poolings=("mean",))
WIDTH = 48


def made_labels(n, seed=0, repeats=1):
    """Return labels and foundation of ``n`` texts with ``repeats`` equal rows each."""
    rng = np.random.default_rng(seed)
    foundation = np.repeat(rng.integers(0, 5, n), repeats).astype(np.int8)
    pole = np.repeat(rng.integers(0, 3, n), repeats)
    grade = np.repeat(rng.choice([0.25, 0.5, 0.75, 1.0], n), repeats)
    dimension = np.where(pole == 2, -1, 2 * foundation + pole).astype(np.int64)
    labels = Labels(dimension, np.where(pole == 2, 0, grade), np.repeat(np.arange(n), repeats))
    return labels, foundation


def planted(labels, foundation, seed=0, strength=1.0):
    """Return noise with a direction per foundation and per pole; the grade is the dose."""
    rng = np.random.default_rng(seed)
    texts = labels.group.max() + 1
    noise = rng.normal(size=(texts, WIDTH))[labels.group]
    base, own = rng.normal(size=(5, WIDTH)), rng.normal(size=(10, WIDTH))
    dose = labels.grade[:, None] * own[labels.dimension] * (labels.dimension >= 0)[:, None]
    return (noise + strength * (base[foundation] + 3 * dose)).astype(np.float32)


def measured(states, labels, foundation, **options):
    states = fit_scaler(states, "standardised").apply(states)
    return measure(states, labels, typical_members(labels), foundation, **options)


def against(figures, words=None):
    """Return the verdicts, with word counts that say nothing unless given."""
    low = Estimate(-1.0, -1.0, -1.0)
    return {
        name: Finding(name, "", *figures[name], words[name][0] if words else low).verdict
        for name in figures
    }


# Verdicts ---------------------------------------------------------------------------------------

NONE = Estimate(math.nan, math.nan, math.nan)
BAND = Estimate(0.2, 0.18, 0.22)
COUNTS = Estimate(0.3, 0.28, 0.32)


@pytest.mark.parametrize(
    ("observed", "shuffled", "words", "verdict"),
    [
        (Estimate(0.5, 0.4, 0.6), BAND, COUNTS, BEYOND),
        (Estimate(0.35, 0.31, 0.4), BAND, COUNTS, WORDS),
        (Estimate(0.35, 0.32, 0.4), BAND, COUNTS, WORDS),  # touching is not beyond
        (Estimate(0.3, 0.21, 0.4), BAND, COUNTS, CHANCE),
        (Estimate(0.3, 0.22, 0.4), BAND, COUNTS, CHANCE),
        (Estimate(0.1, 0.05, 0.15), BAND, COUNTS, CHANCE),
        (NONE, BAND, COUNTS, "not computable"),
        (Estimate(0.5, 0.4, 0.6), NONE, COUNTS, "not computable"),
        (Estimate(0.5, 0.4, 0.6), BAND, NONE, "word counts not computable"),
        (Estimate(0.3, 0.21, 0.4), BAND, NONE, CHANCE),
    ],
)
def test_the_verdict_follows_one_rule(observed, shuffled, words, verdict):
    assert Finding("x", "", observed, shuffled, words).verdict == verdict


# Found where it is, not found where it is not ---------------------------------------------------


def test_planted_geometry_is_found():
    labels, foundation = made_labels(400)
    figures = measured(planted(labels, foundation), labels, foundation)
    assert against(figures) == dict.fromkeys(NAMES, BEYOND)


def test_only_what_was_planted_is_found():
    labels, foundation = made_labels(400)
    rng = np.random.default_rng(1)
    states = rng.normal(size=(400, WIDTH)) + 3 * rng.normal(size=(5, WIDTH))[foundation]
    verdicts = against(measured(states, labels, foundation))
    assert verdicts["Same foundation"] == BEYOND
    assert verdicts["Same pole"] == verdicts["Typicality"] == CHANCE


def test_noise_is_not_distinguishable_from_chance():
    verdicts = {name: Counter() for name in NAMES}
    for seed in range(40):
        labels, foundation = made_labels(150, seed)
        states = np.random.default_rng(1000 + seed).normal(size=(150, WIDTH))
        for name, verdict in against(measured(states, labels, foundation, draws=100)).items():
            verdicts[name][verdict] += 1
    for name in NAMES:
        assert verdicts[name][CHANCE] >= 38, verdicts


def test_the_chance_band_holds_noise_as_often_as_it_says():
    inside = Counter()
    for seed in range(60):
        labels, foundation = made_labels(150, seed)
        states = np.random.default_rng(2000 + seed).normal(size=(150, WIDTH))
        for name, (own, null) in measured(states, labels, foundation, draws=100).items():
            inside[name] += null.low <= own.value <= null.high
    assert all(inside[name] >= 51 for name in NAMES), inside  # 95 %; below 51 once in 2,000 runs


def test_repeated_rows_of_a_text_do_not_narrow_the_chance_band():
    inside, width = Counter(), Counter()
    for seed in range(60):
        labels, foundation = made_labels(60, seed, repeats=5)
        states = np.random.default_rng(3000 + seed).normal(size=(60, WIDTH))[labels.group]
        for name, (own, null) in measured(states, labels, foundation, draws=100).items():
            inside[name] += null.low <= own.value <= null.high
            width[name] += null.high - null.low
    assert all(inside[name] >= 51 for name in NAMES), inside


# Word counts ------------------------------------------------------------------------------------


def write_rows(store, rows, name="table"):
    path = store.root.parent / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return load_or_read(store, ItemSpec("file", path))


def worded_rows(n=240, seed=0):
    """Return rows whose words tell the foundation, the pole and the grade."""
    draw = random.Random(seed)
    things = [["wound", "nurse"], ["deal", "queue"], ["team", "oath"], ["judge", "rule"]]
    things.append(["altar", "grave"])
    rows = []
    for _ in range(n):
        number, judgement = draw.randrange(5), draw.choice([-2, -1, 1, 2])
        verb = {-2: "wreck", -1: "slight", 1: "like", 2: "honour"}[judgement]
        filler = " ".join(
            draw.sample(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], 3)
        )
        text = f"{verb} the {draw.choice(things[number])} {filler}"
        rows.append((text, FOUNDATIONS[number], judgement, 4))
    return list({row[0]: row for row in rows}.values())


def study_of(store, items, states_of_prompts, read=READ):
    width = states_of_prompts(open_study(items, made_card(layers=1, width=1), read)).shape[1]
    made = open_study(items, made_card(layers=1, width=width), read)
    for layer in made.plan.layers:
        states = np.asarray(states_of_prompts(made), np.float32)
        store.save_array("acts", made.plan.key(layer, "mean"), states)
    return made


def bag(made):
    return bag_of_words(made.plan.prompts)


def by_prompt(made, rows):
    return rows[made.first_rows]


def test_states_that_are_the_bag_of_words_are_never_beyond_word_counts(store):
    made = study_of(store, write_rows(store, worded_rows()), bag)
    for scaling in get_args(Scaling):
        found = evidence.evidence(store, made, 0, "mean", scaling)
        assert {one.name: one.verdict for one in found} == dict.fromkeys(NAMES, WORDS)
        for one in found:  # the same states, measured the same way
            np.testing.assert_allclose(one.observed, one.words, atol=1e-9)


def test_geometry_that_words_do_not_show_is_beyond_both_controls(store):
    rng = np.random.default_rng(0)
    rows = [
        (
            f"{rng.choice(['see', 'do', 'get'])} it as {number} did",
            FOUNDATIONS[number % 5],
            judged,
            4,
        )
        for number, judged in enumerate(rng.choice([-2, -1, 1, 2], 300))
    ]

    def states(made):
        return by_prompt(made, planted(made.labels, made.items.foundation))

    made = study_of(store, write_rows(store, rows), states)
    found = evidence.evidence(store, made, 0, "mean", "standardised")
    assert {one.name: one.verdict for one in found} == dict.fromkeys(NAMES, BEYOND)


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_texts_without_a_shared_word_have_no_word_counts_to_beat(store, scaling):
    rows = [(f"do{n}x{n}", FOUNDATIONS[n % 5], [-2, -1, 1, 2][n % 4], 4) for n in range(120)]

    def states(made):
        return by_prompt(made, planted(made.labels, made.items.foundation))

    for template in ("{action} is morally", "{action}"):
        read = ReadSpec(template=template, poolings=("mean",))
        made = study_of(store, write_rows(store, rows), states, read)
        ranks = evidence.evidence(store, made, 0, "mean", scaling)[2]
        assert ranks.observed.low > ranks.shuffled.high
        assert np.isnan(ranks.words).all()
        assert ranks.verdict == "word counts not computable"


def test_word_counts_are_those_of_the_texts_as_they_were_read(store):
    items = write_rows(store, worded_rows())
    words = []
    for template in ("{action}", "I like that they honour: {action}"):
        made = study_of(store, items, bag, ReadSpec(template=template, poolings=("mean",)))
        words.append([f.words for f in evidence.evidence(store, made, 0, "mean", "centred")])
        fresh = measured_words(made, "centred")
        assert words[-1] == [fresh[name][0] for name in NAMES]
    assert words[0] != words[1]


def test_chinese_texts_have_word_counts_that_beat_chance(store):
    """No blank parts their words: counted between blanks, hardly two texts shared one."""
    draw = random.Random(0)
    verbs, things = {-2: "打伤", 2: "照顾"}, [["护士", "病人"], ["生意", "交易"]]
    words = ["昨天", "早上", "晚上", "常常", "悄悄", "忽然", "一起", "然后", "终于"]
    texts = {}
    for _ in range(160):
        number, judgement = draw.randrange(2), draw.choice([-2, 2])
        text = "".join([*draw.sample(words, 4), verbs[judgement], draw.choice(things[number])])
        texts[text] = (text, FOUNDATIONS[number], judgement, 4)
    made = study_of(store, write_rows(store, texts.values()), bag)
    foundation, pole = evidence.evidence(store, made, 0, "mean", "standardised")[:2]
    for one in (foundation, pole):
        assert one.words.low > one.shuffled.high
        assert one.verdict == WORDS


def measured_words(made, scaling):
    counts = bag(made)
    states = fit_scaler(counts, scaling).apply(counts)[made.plan.rows]
    return measure(states, made.labels, made.members, made.items.foundation)


# An untrained model, the product's central promise ----------------------------------------------


def untrained_verdicts(store, spec, scalings=("standardised", "centred"), read=None):
    """Yield every finding of a model on the built-in set."""
    card = describe(spec, store)
    made = open_study(sets.builtin(store), card, read or ReadSpec())
    load_or_extract(store, made.plan, lambda: open_model(card, store))
    for layer in made.plan.layers:
        for pooling in made.plan.spec.poolings:
            for scaling in scalings:
                try:
                    found = evidence.evidence(store, made, layer, pooling, scaling)
                except CoreError:
                    assert (layer, pooling) == (EMBEDDING, "last")
                    continue
                yield from ((layer, pooling, scaling, one.name, one.verdict) for one in found)


def beyond(verdicts):
    verdicts = list(verdicts)
    assert len(verdicts) >= 12
    return [one for one in verdicts if one[-1] not in (CHANCE, WORDS)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_untrained_model_is_never_beyond_its_controls(store, request, family, seed):
    spec = request.getfixturevalue(f"{family}_spec").untrained(seed)
    assert beyond(untrained_verdicts(store, spec)) == []


def test_an_untrained_model_is_never_beyond_its_controls_at_a_glance(store, llama_spec):
    read = ReadSpec(poolings=("mean",))
    spec = llama_spec.untrained(0)
    assert beyond(untrained_verdicts(store, spec, ("standardised",), read)) == []


@pytest.mark.slow
@pytest.mark.gemma
def test_the_untrained_packaged_model_is_never_beyond_its_controls(cache_root):
    spec = ModelSpec().untrained(0)
    assert beyond(untrained_verdicts(Store(cache_root), spec)) == []


# Kept results -----------------------------------------------------------------------------------


def test_a_stored_result_equals_a_fresh_one_and_is_not_measured_again(store, monkeypatch):
    made = study_of(store, write_rows(store, worded_rows(80)), bag)
    fresh = evidence.evidence(store, made, 0, "mean", "standardised")
    monkeypatch.setattr(evidence, "measure", None)
    assert evidence.evidence(Store(store.root), made, 0, "mean", "standardised") == fresh


def test_what_cannot_be_computed_is_nan_also_after_it_was_stored(store):
    rows = [(f"do thing {n} to the {n % 7}", "care-harm", 0, 4) for n in range(40)]
    rng = np.random.default_rng(0)
    made = study_of(
        store, write_rows(store, rows), lambda made: rng.normal(size=(len(made.plan.prompts), 8))
    )
    for _ in range(2):
        ranks = evidence.evidence(store, made, 0, "mean", "standardised")[2]
        assert np.isnan([*ranks.observed, *ranks.shuffled]).all()
        assert ranks.verdict == "not computable"


def test_other_labels_layers_and_scalings_have_results_of_their_own(store):
    rows = worded_rows(80)
    items = write_rows(store, rows)
    turned = write_rows(store, [(t, f, -j, a) for t, f, j, a in rows], "turned")
    made, other = study_of(store, items, bag), study_of(store, turned, bag)
    evidence.evidence(store, made, 0, "mean", "standardised")
    for study, layer, scaling in (
        (made, EMBEDDING, "standardised"),
        (made, 0, "centred"),
        (other, 0, "standardised"),
    ):
        before = kept(store)
        evidence.evidence(store, study, layer, "mean", scaling)
        assert kept(store) > before


def kept(store):
    return sum(one.kind == "evidence" for one in store.artefacts())


# Agreement with a plain recomputation -----------------------------------------------------------


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def plain_agreement(states, label, group):
    shares = []
    for row, own in enumerate(states):
        others = [n for n in range(len(states)) if group[n] != group[row]]
        near = {n: cosine(own, states[n]) for n in others}
        others.sort(key=lambda n: -near[n])
        shares.append(np.mean([label[n] == label[row] for n in others[:ASKED]]))
    return np.mean(shares)


def plain_typicality(states, labels):
    pairs = []
    for column in range(10):
        own = np.flatnonzero(labels.dimension == column)
        members = [n for n in own if labels.grade[n] == 1]
        near = []
        for row in own:
            rest = [n for n in members if labels.group[n] != labels.group[row]]
            near.append(cosine(states[row], states[rest].mean(axis=0)))
        people = (rankdata(labels.grade[own]) - 0.5) / len(own)
        model = (rankdata(near) - 0.5) / len(own)
        pairs += zip(people, model, strict=True)
    return np.corrcoef(np.array(pairs).T)[0, 1]


def test_the_figures_are_those_of_a_plain_slow_recomputation():
    labels, foundation = made_labels(420, seed=5)
    typical = np.random.default_rng(6).random(420) < 0.6  # so that grade 1.0 makes every centre
    labels = labels._replace(grade=np.where(typical & (labels.dimension >= 0), 1.0, labels.grade))
    group = labels.group.copy()
    group[10:20] = group[:10]  # ten texts twice, in another place
    labels = labels._replace(group=group)
    members = typical_members(labels)
    assert (labels.grade[members.any(axis=1)] == 1).all()
    raw = planted(labels, foundation, strength=0.3)
    states = fit_scaler(raw, "standardised").apply(raw)
    figures = measure(states, labels, members, foundation, draws=20)
    wide = states.astype(float)
    sign = np.where(labels.dimension < 0, 2, labels.dimension % 2)
    assert figures["Same foundation"][0].value == pytest.approx(
        plain_agreement(wide, foundation, group), abs=1e-3
    )
    assert figures["Same pole"][0].value == pytest.approx(
        plain_agreement(wide, sign, group), abs=1e-3
    )
    assert figures["Typicality"][0].value == pytest.approx(plain_typicality(wide, labels), abs=1e-3)


def test_the_same_seed_gives_the_same_figures_and_the_rows_order_hardly_matters():
    labels, foundation = made_labels(120)
    states = planted(labels, foundation)
    first = measured(states, labels, foundation)
    assert measured(states, labels, foundation) == first
    order = np.random.default_rng(0).permutation(120)
    mixed = Labels(*(column[order] for column in labels))
    again = measured(states[order], mixed, foundation[order])
    for name in NAMES:
        assert again[name][0].value == pytest.approx(first[name][0].value, abs=1e-9)
