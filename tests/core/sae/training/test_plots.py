"""Figures of a dictionary: read from their data, not from pixels."""

from dataclasses import replace

import pytest

from core.sae.training.patching import SpliceCosts
from core.sae.training.plots import (
    density_figure,
    density_table,
    report_table,
    training_figure,
    training_table,
    worth_figure,
)
from core.sae.training.reconstruction_report import DENSITY_EDGES, Fit, ReconstructionReport
from core.sae.training.spec import TrainStep
from core.statistics.bootstrap import Estimate


def around(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05)


@pytest.fixture
def report() -> ReconstructionReport:
    fits = {
        "dictionary": Fit(around(0.2), around(0.2 + 0.1), around(32)),
        "components": Fit(around(0.5), around(0.5 + 0.1), around(32)),
        "random": Fit(around(0.9), around(0.9 + 0.1), around(32)),
    }
    costs = SpliceCosts(900, around(3), {"dictionary": around(0.3), "mean": around(6)})
    return ReconstructionReport(5000, 80, fits, 0.1, tuple(range(len(DENSITY_EDGES) - 1)), costs)


def test_every_figure_has_its_controls_and_intervals(report):
    table = report_table(report)
    missed = table[table["figure"] == "variance missed"]
    assert missed["control"].tolist() == [False, True, True]
    assert missed["high"].tolist() == pytest.approx([0.25, 0.55, 0.95])
    missing, added, equal = worth_figure(report).data
    assert list(equal.x)[::-1] == pytest.approx([0.3, 0.6, 1.0])
    assert list(missing.x)[::-1] == pytest.approx([0.2, 0.5, 0.9])
    assert list(missing.marker.symbol)[-1] == "circle"
    assert list(added.error_x.array) == pytest.approx([0.05, 0.05])


def test_a_report_of_an_early_version_shows_what_it_has(report):
    about = report.json()
    for fit in about["fits"].values():
        del fit["equal"]
    early = ReconstructionReport.of(about)
    assert early.json() == about
    assert len(worth_figure(early).data[2].x) == 0
    assert not report_table(early)["value"].isna().any()


def test_a_dictionary_that_costs_nothing_is_still_drawn(report):
    assert worth_figure(report).layout.xaxis2.type == "log"
    costs = replace(report.costs, added={"dictionary": around(-0.01), "mean": around(6)})
    figure = worth_figure(replace(report, costs=costs))
    assert figure.layout.xaxis2.type != "log"
    assert min(figure.data[1].x) == -0.01


def test_densities_are_bars_over_the_reports_bins(report):
    [bars] = density_figure(report).data
    assert list(bars.y) == list(report.density)
    table = density_table(report)
    assert table["latents"].tolist() == list(bars.y)
    assert table["from %"].tolist() == pytest.approx(list(bars.customdata))
    assert (table["to %"].iloc[0], table["to %"].iloc[-1]) == pytest.approx((10**-2.75, 100))


def test_a_curve_is_drawn_from_its_first_step(report):
    curve = [TrainStep(one, 10, 1.0, 1 / one, 30, 0.1) for one in (1, 2, 3)]
    traces = training_figure(curve).data
    assert [list(one.y) for one in traces] == [[1, 0.5, 1 / 3], [30] * 3, [0.1] * 3]
    assert training_table(curve)["variance missed"].tolist() == list(traces[0].y)
    assert len(training_figure([]).data) == 3
