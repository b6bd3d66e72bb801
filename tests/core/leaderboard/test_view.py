"""The leaderboard's tables, sentences and pictures, on made rows."""

import pandas as pd
import pytest

from core.diagnosis import leaderboard_rows
from core.leaderboard import plots as leaderboard_plots
from core.leaderboard import view as leaderboard_view
from core.measures.result import TESTS


def row(name, value, half=0.05, parameters=10**9, training="", **more):
    """Return the typicality row of a made model."""
    told = dict.fromkeys(leaderboard_rows.COLUMNS) | {
        "name": name, "run": name * 4, "test": "gradient", "figure": "typicality", "layer": 3,
        "value": value, "low": value - half, "high": value + half, "level": "beyond",
        "verdict": "structure beyond all controls", "parameters": parameters,
        "training": training, "template": "{action} is morally", "pooling": "mean",
        "scaling": "standardised", "draws": 1000, "shuffles": 1000, "seed": 0, "shuffled": 0.0,
        "shuffled_low": -0.02, "shuffled_high": 0.02, "words": 0.1, "words_low": 0.08,
        "words_high": 0.12,
    }  # fmt: skip
    return told | more


def board(*rows):
    return leaderboard_rows.table(list(rows)).to_pandas()


def alike(found, group="training"):
    return leaderboard_view.measured_so(found, leaderboard_view.settings(found)[0], group)


def test_a_clear_lead_and_one_within_noise_are_told_apart():
    clear = alike(board(row("a", 0.6), row("b", 0.3)))
    assert "no other's interval reaches into its own" in leaderboard_view.lead(clear, "gradient")
    noisy = alike(board(row("a", 0.6), row("b", 0.52), row("c", 0.1)))
    said = leaderboard_view.lead(noisy, "gradient")
    assert said.startswith("Gradient (typicality): a 0.60")
    assert "intervals of 1 of 2 others reach into its own: no difference" in said


def test_untrained_copies_are_counted_apart_from_models():
    copy = row("c", 0.1, model="packaged?untrained=0")
    assert leaderboard_view.counted(alike(board(row("a", 0.6)))) == "1 model"
    assert leaderboard_view.counted(alike(board(row("a", 0.6), row("b", 0.3), copy))) == (
        "2 models, 1 untrained copy"
    )
    assert leaderboard_view.counted(alike(board(copy))) == "1 untrained copy"
    edited = row("d", 0.7, identity="x steered 0123")
    assert leaderboard_view.counted(alike(board(row("a", 0.6), edited, copy))) == (
        "1 model, 1 aligned self, 1 untrained copy"
    )


def test_the_legend_names_every_mark_of_the_figures():
    rows = alike(board(row("a", 0.6, training="base"), row("b", 0.3, training="guard")))
    signs = leaderboard_plots.legend(rows)
    drawn = leaderboard_plots.standings_figure(rows, "gradient").data
    assert {one.name for one in drawn if one.name} == {one.name for one in signs}
    assert len({one.sign for one in signs}) == len(signs)
    colours = {one.name: one.marker.color for one in drawn if one.name}
    assert colours == {one.name: one.colour for one in signs}


def test_the_order_of_the_rows_changes_nothing():
    rows = [row("a", 0.6), row("b", 0.52), row("c", 0.1)]
    there, back = (alike(board(*some)) for some in (rows, rows[::-1]))
    assert leaderboard_view.lead(there, "gradient") == leaderboard_view.lead(back, "gradient")
    pd.testing.assert_frame_equal(
        leaderboard_view.averages(there, "gradient"), leaderboard_view.averages(back, "gradient")
    )


def test_runs_measured_otherwise_are_never_beside_each_other():
    found = board(row("a", 0.6), row("b", 0.5, pooling="last"), row("c", 0.4, draws=20))
    ways = leaderboard_view.settings(found)
    assert len(ways) == 3
    assert "mean · standardised · 1,000 resamples" in ways[0]
    assert [
        leaderboard_view.measured_so(found, way, "training")["name"].tolist() for way in ways[:1]
    ] == [["a"]]


def test_groups_count_their_models_and_those_beyond_all_controls():
    found = alike(
        board(
            row("a", 0.6, training="base"),
            row("b", 0.2, training="base", level="chance"),
            row("c", 0.4, training="guard"),
            row("d", 0.5),
        )
    )
    told = leaderboard_view.averages(found, "gradient").set_index("group")
    assert told.loc["base"].tolist() == pytest.approx([2, 0.2, 0.4, 0.6, 1])
    assert told.loc["guard", "models"] == 1
    assert told.loc["not stated", "models"] == 1


def test_two_runs_of_one_name_are_told_apart():
    shown = alike(board(row("a", 0.6), row("a", 0.5, run="other-run")))["shown"]
    assert shown.tolist() == ["a · aaaa", "a · other-"]


def test_a_figure_that_nothing_gave_is_not_drawn_and_has_no_lead():
    empty = row("a", 0.0) | {"value": None, "low": None, "high": None, "level": "nothing"}
    rows = alike(board(empty))
    assert leaderboard_view.lead(rows, "gradient").endswith("no model's figure could be computed.")
    for draw in (leaderboard_plots.standings_figure, leaderboard_plots.size_figure):
        assert all(not len(trace.x) for trace in draw(rows, "gradient").data)


def test_pictures_show_every_model_with_its_interval_and_parameters_on_a_log_axis():
    rows = alike(board(row("a", 0.6, training="base"), row("b", 0.3, parameters=10**8)))
    drawn = leaderboard_plots.size_figure(rows, "gradient")
    assert drawn.layout.xaxis.type == "log"
    points = {trace.name: (trace.x[0], trace.y[0]) for trace in drawn.data}
    assert points == {"base": (1e9, 0.6), "not stated": (1e8, 0.3)}
    assert drawn.data[0].error_y.array[0] == pytest.approx(0.05)
    assert {"100M", "1B"} <= set(drawn.layout.xaxis.ticktext)
    bars = leaderboard_plots.standings_figure(rows, "gradient")
    assert list(bars.layout.yaxis.categoryarray) == ["b", "a"]
    names = {trace.name for trace in bars.data}
    assert {"word counts", "untrained copy", "base", "not stated"} <= names


def test_a_model_keeps_its_colour_from_test_to_test():
    rows = board(row("a", 0.6, training="base"), row("b", 0.3, training="guard"))
    every = pd.concat([rows.assign(test=test) for test in TESTS], ignore_index=True)
    looks = [
        {
            one.name: one.marker.color
            for one in leaderboard_plots.size_figure(alike(every), test).data
        }
        for test in TESTS
    ]
    assert all(look == looks[0] for look in looks)


def test_spoken_text_names_at_most_twelve_models():
    rows = alike(board(*(row(f"m{number:02}", number / 20) for number in range(14))))
    said = leaderboard_view.spoken(rows, "gradient")
    assert said.startswith("gradient: m13 0.65; m12 0.60")
    assert said.endswith("; and 2 more")
