"""What the page of an alignment shows follows from the report; arms may have any name."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.alignment.left_out import Transfer
from core.alignment.plots import arms_figure, layers_figure, step_figure
from core.alignment.receipt import align_receipt, command
from core.alignment.report import RIVALS, UNTOUCHED
from core.alignment.shown import FIGURES
from core.alignment.spec import ARMS, AlignSpec
from core.alignment.train import AlignStep
from core.alignment.view import (
    all_table,
    arm_rows,
    arm_table,
    layer_table,
    layers_of,
    meaning,
    over_layers,
    transfer_table,
)
from core.dataset import sets
from core.statistics.bootstrap import Estimate
from tests.core.alignment.test_report import report
from tests.core.models.madecards import made_card

CKA = FIGURES[0]


def test_the_trained_arm_stands_first_and_the_untouched_is_the_zero():
    rows = arm_rows(report({"here": 0.4}), 0.1, CKA)
    assert [row.arm for row in rows] == ["repaired", *RIVALS[1:]]
    assert rows[0].over.value == pytest.approx(0.3)
    assert rows[0].seeds == pytest.approx((0.3, 0.3))
    assert np.isnan(rows[0].behind.value)
    assert rows[1].behind.value == pytest.approx(0.3)


def test_a_table_holds_what_the_chart_shows_and_the_untouched_besides():
    made = report({"here": 0.4}, noise={"share": float("nan")})
    table = arm_table(made, 0.1, CKA).set_index("arm")
    assert table.index[-1] == UNTOUCHED
    assert table.loc["repaired", "over"] == pytest.approx(0.3)
    assert table.loc["noise", "seeds"] == 0
    assert table.loc["noise", ["share", "value", "over"]].isna().all()
    assert len(all_table(made, (0.1,))) == len(table) * len(FIGURES)


def test_an_arm_that_does_not_reach_the_divergence_says_so_in_its_row():
    made = report({"here": 0.4}, noise={"share": float("nan")})
    figure = arms_figure(arm_rows(made, 0.1, CKA))
    assert [one.text for one in figure.layout.annotations] == ["does not reach 0.1 nats"]
    gains = over_layers(made, 0.1, "cka")
    assert gains["noise"] == []
    below, above = arms_figure(arm_rows(made, 0.1, CKA)), layers_figure(gains, [9, 10])
    looks = [
        {one.name: one.marker.color for one in drawn.data if one.name in RIVALS and one.mode}
        for drawn in (below, above)
    ]
    assert looks[1] == {name: looks[0][name] for name in looks[1]}  # an arm looks alike in both
    assert len(looks[1]) == 3


def test_layers_are_those_from_the_edited_one_on():
    made = report({"here": 0.4, "last": 0.2})
    assert layers_of(made, "cka") == [9, 10]
    assert layers_of(made, "readout") == []
    gains = over_layers(made, 0.1, "cka")
    assert [one.value for one in gains["repaired"]] == pytest.approx([0.3, 0.1])
    assert len(layer_table(made, 0.1, "cka")) == 2 * len(gains)
    drawn = [one.name for one in layers_figure(gains, [9, 10]).data if one.name]
    assert drawn[-1] == "repaired"  # on top


def test_another_recipe_stands_first_when_it_is_asked_about():
    made = report({"here": 0.4}, noise={"here": 0.2})
    rows = arm_rows(made, 0.1, CKA, "noise")
    assert rows[0].arm == "noise"
    assert {row.arm: row.behind.value for row in rows}["repaired"] == pytest.approx(-0.2)
    assert next(iter(over_layers(made, 0.1, "cka", "noise"))) == "noise"


def test_what_a_dictionary_costs_stands_in_the_table():
    table = arm_table(report({"here": 0.4}), 0.1, CKA).set_index("arm")
    assert table.loc["repaired", ["FVU", "latents on", "dead"]].tolist() == [0.1, 0.1, 0.3]
    assert table.loc["difference of means", ["FVU", "dead"]].isna().all()


def test_further_arms_are_named_in_the_command(study):
    spec = AlignSpec(arms=ARMS)
    told = command(study, spec, "paper", (0.1,), "builtin")
    assert "--recipe paper --arms 'paper, replaced'" in told
    assert told.endswith("triplets --kl 0.1")


def test_a_foundation_left_out_is_a_row_with_both_changes():
    one, other = Estimate(0.1, 0.05, 0.2), Estimate(0.3, 0.2, 0.4)
    table = transfer_table([Transfer("care-harm", 12, "pole AUC", one, other, other, one, other)])
    row = table.iloc[0]
    assert (row["left out"], row["untouched"], row["without"]) == ("care-harm", 0.1, 0.3)
    assert (row["change"], row["whole change"]) == (0.1, 0.3)


def test_many_arms_have_looks_of_their_own():
    rows = arm_rows(report({"here": 0.4}), 0.1, CKA)
    several = [rows[0], *(rows[1]._replace(arm=f"arm {n}") for n in range(11))]
    drawn = [one for one in arms_figure(several).data if "seeds" not in one.name]
    assert len({(one.marker.color, one.marker.symbol) for one in drawn}) == 12


def test_every_arm_says_what_it_is_and_an_unknown_one_its_name():
    assert "as it is" in meaning(UNTOUCHED)
    assert meaning("another") == "another"


def test_a_training_is_drawn_with_the_check_that_was_kept():
    curve = [AlignStep(10 * n, 1.0 - n / 10, 0.1, 0.5, 0.01, 0.001) for n in range(3)]
    assert len(step_figure(curve, "loss").data) == 1
    star = step_figure(curve, "loss", 2).data[1]
    assert (star.x[0], star.y[0]) == (20, pytest.approx(0.8))


def test_a_receipt_holds_the_key_and_the_command(study):
    made = report({"here": 0.4})
    told = align_receipt(
        made, {"targets": [0.1], "model": "m"}, study, AlignSpec(), "repaired", "builtin"
    )
    assert told["command"].endswith("--dictionary builtin --recipe repaired --kl 0.1")
    assert "--latents 30 --steps 200 --seeds 3" in told["command"]
    assert told["verdicts"] == {"0.1": made.told(0.1)}
    assert len(told["runs"]) == len(made.runs)
    json.dumps(told, allow_nan=False)


@pytest.fixture
def study(store):
    return open_study(sets.builtin(store), made_card(), ReadSpec())


def test_what_the_command_line_cannot_say_has_no_command(study):
    spec = replace(study.plan.spec, max_tokens=77)
    odd = replace(study, plan=replace(study.plan, spec=spec))
    assert command(odd, AlignSpec(), "repaired", (0.1,), "builtin") is None


def test_an_objective_that_was_named_stands_in_the_command(study):
    told = command(study, AlignSpec(objective="rsa"), "repaired", (0.1,), "builtin")
    assert told is not None
    assert "--objective rsa" in told
