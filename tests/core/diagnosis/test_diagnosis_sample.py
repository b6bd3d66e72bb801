"""Every figure of the diagnosis a second time, on real labels: plain numpy, scipy, scikit-learn.

The shared sample of Social Chemistry 101 as the packaged model reads it; no code of the four tests
is used but what they were given: texts, labels, blocks of texts.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    adjusted_rand_score,
    normalized_mutual_info_score,
    r2_score,
    roc_auc_score,
    silhouette_score,
)

from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study, states_of
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis import diagnosis
from core.diagnosis.diagnosis import DiagnosisSpec, study_cohort
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.measures.clustering import SEEDS, cluster
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.store import Store
from tests.core.measures.test_excess_opposition import plain as plain_excess

SAMPLE = Path(__file__).parents[4] / "shared" / "social-chemistry-sample" / "sample.tsv"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.gemma,
    pytest.mark.skipif(not SAMPLE.exists(), reason="shared sample is not here"),
]
CASES = [(9, "mean"), (9, "last"), (17, "mean"), (17, "last")]
SPEC = DiagnosisSpec(draws=0, shuffles=0)


class Case(NamedTuple):
    """What both computations start from, and what ours found."""

    raw: np.ndarray
    """States as read, ``(n, d)``, float64."""
    states: np.ndarray
    """The same minus the mean over different prompts."""
    cohort: object
    found: dict


def figures_of(measured):
    return {(one.name, one.part): one.observed.value for one in measured.figures}


@pytest.fixture(scope="module")
def study(cache_root):
    store = Store(cache_root)
    made = open_study(
        load_or_read(store, ItemSpec("file", SAMPLE)), describe(ModelSpec(), store), ReadSpec()
    )
    load_or_extract(store, made.plan, lambda: open_model(made.card, store))
    return made


@pytest.fixture(scope="module", params=CASES, ids=[f"{name} {layer}" for layer, name in CASES])
def case(request, study, cache_root):
    """Measure a layer afresh, whatever is stored."""
    layer, pooling = request.param
    prompts = states_of(Store(cache_root), study).prompt_states(layer, pooling)
    cohort = study_cohort(study, SPEC)
    assert len(cohort) == 2601
    scaled = diagnosis.fit_scaler(prompts, "centred").apply(prompts)
    ours = (
        diagnosis._geometry(scaled[study.plan.rows], cohort),
        diagnosis._decoding(prompts[study.plan.rows], cohort),
    )
    wide = prompts.astype(np.float64)
    found = {
        "whole": {test: figures_of(one) for part in ours for test, one in part.whole.items()},
        "first": {test: value for part in ours for test, value in part.first.items()},
        "second": {
            test: one.headline.observed.value for part in ours for test, one in part.second.items()
        },
    }
    rows = study.plan.rows
    return Case(wide[rows], (wide - wide.mean(axis=0))[rows], cohort, found)


def close(value):
    return pytest.approx(value, abs=1e-3, nan_ok=True)


def plain_members(cohort):
    """Return the typical rows of each pole: here each has ten texts of grade 1."""
    labels = cohort.labels
    rows = [np.flatnonzero((labels.dimension == k) & (labels.grade == 1)) for k in range(10)]
    assert min(len(set(labels.group[some].tolist())) for some in rows) >= 10
    return rows


def cosine(one, other):
    return one @ other / np.sqrt((one @ one) * (other @ other))


def halves(cohort):
    return {"whole": np.ones(len(cohort), bool), "first": cohort.first_half} | {
        "second": ~cohort.first_half
    }


# Categorical ------------------------------------------------------------------------------------


def test_opposition(case):
    members = plain_members(case.cohort)
    for name, rows in halves(case.cohort).items():
        centres = [case.states[some[rows[some]]].mean(axis=0) for some in members]
        own = [-cosine(centres[2 * k], centres[2 * k + 1]) for k in range(5)]
        typical = [some[rows[some]] for some in members]
        excess = np.mean([plain_excess(case.states, case.cohort, typical, k) for k in range(5)])
        if name != "whole":
            assert case.found[name]["categorical"] == close(excess)
            continue
        assert case.found[name]["categorical"]["excess opposition", "all"] == close(excess)
        found = case.found["whole"]["categorical"]
        assert found["opposition", "all"] == close(np.mean(own))
        for value, part in zip(own, FOUNDATIONS, strict=True):
            assert found["opposition", part] == close(value)
        for i in range(10):
            for j in range(i + 1, 10):
                part = f"{DIMENSIONS[i]}|{DIMENSIONS[j]}"
                assert found["cosine", part] == close(cosine(centres[i], centres[j]))


def test_reliability_and_the_correction_for_it(case):
    found = case.found["whole"]["categorical"]
    reliable = []
    for part, rows in zip(DIMENSIONS, plain_members(case.cohort), strict=True):
        inner = case.states[rows] @ case.states[rows].T
        group = case.cohort.labels.group[rows]
        reliable.append(inner[group[:, None] != group].mean() / inner.mean())
        assert found["reliability", part] == close(reliable[-1])
    corrected = []
    for k, part in enumerate(FOUNDATIONS):
        pair = reliable[2 * k : 2 * k + 2]
        value = found["opposition", part] / np.sqrt(np.prod(pair)) if min(pair) >= 0.3 else np.nan
        assert found["corrected opposition", part] == close(value)
        corrected.append(value)
    known = [value for value in corrected if not np.isnan(value)]
    assert found["corrected opposition", "all"] == close(np.mean(known) if known else np.nan)


# Gradient ---------------------------------------------------------------------------------------


def plain_closeness(states, members, group, row):
    others = [i for i in members if group[i] != group[row]]
    return cosine(states[row], states[others].mean(axis=0))


def plain_gradient(states, cohort, members, kept, column, variant):
    """Return a pole's correlation and its number of texts."""
    labels = cohort.labels
    own = labels.dimension == column
    if variant == "typicality with neutrals":
        own |= (labels.dimension == -1) & (cohort.foundation == column // 2)
    rows = np.flatnonzero(own & kept)
    centre, opposed = (members[k][kept[members[k]]] for k in (column, column ^ 1))
    near = np.array([plain_closeness(states, centre, labels.group, row) for row in rows])
    if variant == "own minus opposed":
        near -= [plain_closeness(states, opposed, labels.group, row) for row in rows]
    value = spearmanr(near.round(9), labels.grade[rows]).statistic
    return value, len(set(labels.group[rows].tolist()))


def fisher(pairs):
    value, texts = np.array(list(pairs)).T
    return np.tanh(np.average(np.arctanh(value), weights=texts - 3))


@pytest.mark.parametrize("variant", ["typicality", "typicality with neutrals", "own minus opposed"])
def test_gradient(case, variant):
    members, found = plain_members(case.cohort), case.found["whole"]["gradient"]
    pairs = []
    for column, part in enumerate(DIMENSIONS):
        kept = np.ones(len(case.cohort), bool)
        pairs.append(plain_gradient(case.states, case.cohort, members, kept, column, variant))
        assert found[variant, part] == close(pairs[-1][0])
    assert found[variant, "all"] == close(fisher(pairs))


def test_gradient_of_both_halves(case):
    members = plain_members(case.cohort)
    for name in ("first", "second"):
        kept = halves(case.cohort)[name]
        pairs = [
            plain_gradient(case.states, case.cohort, members, kept, column, "typicality")
            for column in range(10)
        ]
        assert case.found[name]["gradient"] == close(fisher(pairs))


# Structural -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clustering(case):
    return cluster(case.states.astype(np.float32), case.cohort)


def human_labels(cohort):
    sign = np.where(cohort.labels.dimension < 0, 2, cohort.labels.dimension % 2)
    return {
        "all": 3 * cohort.foundation + sign,
        "foundations": cohort.foundation,
        "polarity": sign,
    }


def test_clusters_are_those_of_scikit_learn_on_principal_components(case, clustering):
    points = PCA(50, svd_solver="full").fit_transform(case.states)
    for k, found in clustering.kmeans.items():
        other = KMeans(k, n_init=4, random_state=0).fit(points)
        assert found.shape == (SEEDS, len(points))
        least = min(
            sum(((points[run == c] - points[run == c].mean(axis=0)) ** 2).sum() for c in range(k))
            for run in found
        )
        assert least == pytest.approx(other.inertia_, rel=0.03)
    other = HDBSCAN(min_cluster_size=26, min_samples=5, copy=True).fit_predict(points)
    assert adjusted_rand_score(other, clustering.density) > 0.99


def test_agreement_of_clusters_with_labels(case, clustering):
    found = case.found["whole"]["structural"]
    clear = clustering.density >= 0
    for part, labels in human_labels(case.cohort).items():
        own = clustering.kmeans[len(set(labels.tolist()))]
        for name, score in (("ARI", adjusted_rand_score), ("NMI", normalized_mutual_info_score)):
            mean = np.mean([score(labels, run) for run in own])
            assert found[f"{name} of k-means", part] == close(mean)
        dense = clustering.density
        assert found["ARI of HDBSCAN", part] == close(adjusted_rand_score(labels, dense))
        assert found["NMI of HDBSCAN", part] == close(normalized_mutual_info_score(labels, dense))
        without = adjusted_rand_score(labels[clear], dense[clear]) if clear.sum() > 9 else np.nan
        assert found["ARI without noise", part] == close(without)
    assert found["coverage of HDBSCAN", "all"] == close(clear.mean())
    labels = human_labels(case.cohort)["all"]
    for name in ("first", "second"):
        rows = halves(case.cohort)[name]
        value = np.mean(
            [adjusted_rand_score(labels[rows], run[rows]) for run in clustering.kmeans[15]]
        )
        assert case.found[name]["structural"] == close(value)


def test_silhouette_and_purity_of_labels(case, clustering):
    found = case.found["whole"]["structural"]
    unit = case.states / np.linalg.norm(case.states, axis=1, keepdims=True)
    asked = np.flatnonzero(clustering.near[:, 0] >= 0)
    assert len(asked) == 2000
    group = case.cohort.labels.group
    near = []
    for row in asked:
        likeness = np.where(group == group[row], -np.inf, unit @ unit[row])
        near.append(np.argsort(-likeness)[:10])
    near = np.array(near)
    for part, labels in human_labels(case.cohort).items():
        value = silhouette_score(case.states, labels, metric="cosine")
        assert found["silhouette", part] == close(value)
        purity = (labels[near] == labels[asked][:, None]).mean()
        assert found["neighbour purity", part] == close(purity)


# Dimensional ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prediction(case):
    """Predict each row by scikit-learn's ridge from seven other blocks of texts."""
    cohort, result = case.cohort, np.full((2601, 10), np.nan)
    for fold in range(5):
        test = np.isin(cohort.blocks, [2 * fold, 2 * fold + 1])
        checked = cohort.blocks == (2 * fold + 2) % 10
        train = ~(test | checked)
        mean, scale = case.raw[train].mean(axis=0), case.raw[train].std(axis=0)
        states = (case.raw - mean) / scale
        best = None
        for power in np.linspace(4, -4, 9):  # in units of the Gram matrix' mean diagonal
            ridge = Ridge(alpha=10**power * train.sum()).fit(states[train], cohort.vectors[train])
            error = ((ridge.predict(states[checked]) - cohort.vectors[checked]) ** 2).sum()
            if best is None or error < best[0]:
                best = error, ridge
        result[test] = best[1].predict(states[test])
    return result


def test_ridge_probe(case, prediction):
    found, truth = case.found["whole"]["dimensional"], case.cohort.vectors.astype(np.float64)
    each = r2_score(truth, prediction, multioutput="raw_values")
    assert found["R²", "all"] == close(each.mean())
    assert found["R² weighted", "all"] == close(
        r2_score(truth, prediction, multioutput="variance_weighted")
    )
    ranks, present = [], (truth > 0).sum(axis=0)
    for column, part in enumerate(DIMENSIONS):
        own = truth[:, column] > 0
        assert found["R²", part] == close(each[column])
        assert found["AUROC", part] == close(roc_auc_score(own, prediction[:, column]))
        ranks.append(spearmanr(prediction[own, column], truth[own, column]).statistic)
        assert found["rank correlation", part] == close(ranks[-1])
    assert found["rank correlation", "all"] == close(fisher(zip(ranks, present, strict=True)))
    for name in ("first", "second"):
        rows = halves(case.cohort)[name]
        assert case.found[name]["dimensional"] == close(r2_score(truth[rows], prediction[rows]))
