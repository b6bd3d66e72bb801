"""What the features page says: counts beside chance, reasons in words, tables in reading order."""

import numpy as np
import pytest

from core.features.dashboard import Dashboard
from core.features.kinds import KINDS, MORAL, RELATED
from core.features.plots import latents_figure
from core.features.scores import RankSpec, counts, score_latents
from core.features.view import axis_of, counts_table, headline, latents, passport_table, why
from core.foundations import DIMENSIONS
from core.sae.latent_names import LatentNames
from core.statistics.bootstrap import Estimate
from tests.core.features.latentsets import (
    PURE,
    TOPICS,
    made_set,
    planted,
    random_codes,
    same_length,
)

SPEC = RankSpec(permutations=400, draws=200)


@pytest.fixture(scope="module")
def scores():
    return score_latents(*planted(1), SPEC)


@pytest.fixture(scope="module")
def nothing():
    from scipy.sparse import csr_array

    rng = np.random.default_rng(3)
    labels, split = made_set(400, rng)
    codes = csr_array(random_codes(400, 40, rng))
    return score_latents(codes, labels, same_length(400), split, SPEC)


def test_the_headline_names_what_is_found_its_error_and_what_chance_finds(scores, nothing):
    said, own, error = headline(scores), counts(scores), scores.monte_carlo
    assert (
        f"{own[RELATED]} ± {error[RELATED]} of 300 latents are related to a moral topic, of these "
        f"{own[MORAL]} ± {error[MORAL]} moral within their foundation, {own['monosemantic']} of "
        "them for a single pole"
    ) in said
    assert (
        f"(with shuffled labels: {scores.shuffled[RELATED]} and {scores.shuffled[MORAL]})" in said
    )
    assert "No latent of 40 is related to a moral topic" in headline(nothing)


def test_every_latent_is_of_one_kind(scores):
    table = counts_table(scores).set_index("kind")["latents"]
    assert table[list(KINDS)].sum() == 300
    assert table[MORAL] == table[["monosemantic", "moral"]].sum()
    assert table[RELATED] == table[MORAL] + table["topic"]
    assert table[RELATED] <= table["selected"]
    assert "paper strict" in table.index


def test_latents_come_surest_first_and_of_the_dimension_that_is_asked(scores):
    table = latents(scores)
    assert set(table["kind"]) <= {"monosemantic", "moral", "topic"}
    assert table["membership test"].is_monotonic_decreasing
    care = latents(scores, "care")
    confirmed = np.flatnonzero(scores.decided.related[:, DIMENSIONS.index("care")])
    assert sorted(care["latent"]) == confirmed.tolist()
    assert len(latents(scores, shown="moral")) == counts(scores)[MORAL]
    assert len(latents(scores, shown="all")) == 300
    assert len(latents(scores, shown="selected")) >= len(table)
    assert latents(scores, among=[7, 2])["latent"].tolist() == [7, 2]


def test_a_table_names_latents_next_to_their_numbers(scores):
    names = LatentNames({7: "mine"}, {7: "steal", 2: "kind"})
    table = latents(scores, among=[7, 2, 5], names=names)
    assert table.columns[:2].tolist() == ["latent", "name"]
    assert table["name"].tolist() == ["mine", "kind", ""]
    assert (latents(scores)["name"] == "").all()


def test_reasons_name_figures_and_kind(scores):
    found = {
        kind: why(scores, int(np.flatnonzero(scores.decided.kind == kind)[0]))
        for kind in ("monosemantic", "topic", "unrelated")
    }
    assert "AUROC" in found["monosemantic"]
    assert "from the other texts, and from" in found["monosemantic"]
    assert "Topic" in found["topic"]
    assert "collapsed" in found["topic"] or "nothing shows" in found["topic"]
    assert found["unrelated"].startswith("**Unrelated**")


def test_an_effect_is_tried_on_a_latents_own_dimension(scores):
    latent = int(np.flatnonzero(scores.decided.kind[:PURE] == "monosemantic")[0])
    assert axis_of(scores, latent) == DIMENSIONS[latent % 10]
    rest = int(np.flatnonzero(scores.best[PURE + TOPICS :] < 0)[0]) + PURE + TOPICS
    assert "-" in axis_of(scores, rest)


def test_points_carry_their_latent_and_the_chosen_one_is_ringed(scores):
    table = latents(scores)
    figure = latents_figure(table, int(table["latent"].iloc[0]))
    carried = [one for trace in figure.data[:-1] for one in trace.customdata]
    assert sorted(carried) == sorted(table["latent"])
    assert figure.data[-1].name == "chosen"
    assert len(latents_figure(table.iloc[:0]).data) == 0


def test_a_passports_table_holds_what_its_charts_show():
    own = tuple(Estimate(one / 10, one / 10 - 0.1, one / 10 + 0.1) for one in range(10))
    null = (Estimate(0.0, -0.1, 0.1),) * 10
    made = Dashboard(
        1, 0.1, 0.1, np.zeros(20, int), np.zeros(21), np.zeros(11), (), (), own, null, 9, (),
        np.arange(10) / 10, np.tile([-0.2, 0.2], (10, 1)),
    )  # fmt: skip
    table = passport_table(made)
    assert table["dimension"].tolist() == list(DIMENSIONS)
    assert table["high"].iloc[3] == pytest.approx(0.4)
    assert table["all latents low"].tolist() == [-0.2] * 10
