"""Size and training over models: a model counts once, copies not at all, few say nothing."""

import numpy as np
import pytest

from core.leaderboard.effects import effects, models, told
from tests.core.leaderboard.test_view import alike, board, row


def made(number, value, **more):
    told_of = {"identity": f"id{number}", "model": f"hub:a/m{number}", "parameters": 10**number}
    return row(f"m{number}", value, **(told_of | more))


def gradient(rows, against):
    found = effects(alike(board(*rows)))
    (one,) = found[(found["test"] == "gradient") & (found["against"] == against)].to_dict("records")
    return one


def test_fewer_than_five_models_say_nothing_however_many_runs_and_copies_there_are():
    four = [made(n, n / 10) for n in range(1, 5)]
    again = [made(n, n / 10, run=f"again{n}", dtype="bfloat16") for n in (1, 2)]
    copies = [made(n, 0.0, model=f"hub:a/m{n}?untrained=0", run=f"c{n}") for n in range(5, 9)]
    one = gradient([*four, *again, *copies], "parameters")
    assert (one["models"], one["note"]) == (4, "too few models: 4 of at least 5")
    assert np.isnan(one["effect"])
    assert np.isnan(one["p"])


def test_runs_of_one_model_are_one_figure():
    rows = [made(1, 0.2), made(1, 0.4, run="again", dtype="bfloat16")]
    found = models(alike(board(*rows)), "gradient")
    assert found["value"].tolist() == pytest.approx([0.3])


def test_an_effect_of_size_is_found_and_told_with_the_number_of_models():
    rows = [made(n, n / 10) for n in range(1, 8)]
    one = gradient(rows, "parameters")
    assert (one["models"], one["effect"]) == (7, pytest.approx(1))
    assert one["p"] == pytest.approx(2 / 5040)
    assert "exchangeable" in one["note"]
    said = told(effects(alike(board(*rows))), "gradient")
    assert "Spearman's ρ): 1.00 [0.67, 1.00] over 7 models, p < 0.001" in said
    assert "kind of training (η² of ranks): too few models: 0 of at least 5." in said


def test_sisters_swap_among_each_other_alone():
    """Planted: families differ in figure and size, and in nothing else."""
    draw = np.random.default_rng(0)
    rows = [
        made(n, 0.2 * (n // 4) + 0.01 * draw.standard_normal(), family=f"f{n // 4}")
        for n in range(1, 16)
    ]
    one = gradient(rows, "parameters")
    assert one["note"].startswith("permuted within families")
    assert one["p"] > 0.05
    lone = gradient([{**one, "family": ""} for one in rows], "parameters")
    assert lone["p"] < 0.001  # without families the same figures look like an effect


def test_training_has_its_share_beside_chance_and_all_p_values_are_counted():
    rows = [
        made(n, 0.1 + 0.5 * (n % 2) + n / 100, training="base" if n % 2 else "instruct")
        for n in range(1, 11)
    ]
    one = gradient(rows, "training")
    assert one["models"] == 10
    assert one["effect"] > 0.7 > one["chance"]
    assert one["p"] < 0.02 < one["p_together"] * 2
    assert one["p_together"] == pytest.approx(2 * one["p"])
    assert "(by chance 0.1" in told(effects(alike(board(*rows))), "gradient")


def test_a_model_and_what_was_tuned_from_it_are_one_draw_for_size_and_a_pair_for_training():
    draw = np.random.default_rng(1)
    rows = []
    for n in range(1, 9):
        size = 0.1 * draw.standard_normal()
        for kind, tuned in (("base", 0.0), ("instruct", 0.02)):
            more = {"family": "f", "training": kind, "parameters": 10**n, "run": f"{n}{kind}"}
            rows.append(made(n, 0.4 + size + tuned, identity=f"{n}{kind}", **more))
    size, training = (gradient(rows, against) for against in ("parameters", "training"))
    assert size["models"] == 8
    assert size["note"] == "sisters of one size averaged, permuted within families"
    assert training["models"] == 16
    assert training["note"] == "permuted within families and sizes"
    assert training["p"] == pytest.approx(2 / 2**8)  # each pair leans the same way
    one_pair = gradient(rows[:2], "parameters")
    assert one_pair["note"] == "too few models: sisters of one size averaged, 1 of at least 5"
