"""What the command ``align`` says of a report, of training, and of what was asked beyond these."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from core.alignment.shown import FIGURES
from core.alignment.spec import AlignSpec
from core.cli.desk import Desk
from core.statistics.bootstrap import Estimate
from core.wording import Lines, aligned, interval, number

if TYPE_CHECKING:
    from core.activations.study import Study
    from core.alignment.further import ArmDifference
    from core.alignment.left_out import Transfer
    from core.alignment.report import AlignReport
    from core.alignment.spec import Recipe
    from core.sae.dictionary import Dictionary


class Further(NamedTuple):
    """What was asked beyond the report."""

    tests: "list[ArmDifference]"
    """The four tests of each arm at the first divergence."""

    second: "AlignReport | None"
    """The same arms on a set that is not trained on."""

    name: str
    """Of that set."""

    target: float
    """The divergence."""

    recipe: "Recipe"
    """What verdicts are about."""

    transfers: "list[Transfer]"
    """What training on four foundations did to the fifth."""

    def text(self) -> Lines:
        """Yield it as text."""
        from core.comparison.view import NAMES, VERDICTS

        if self.second is not None:
            yield f"\n{self.name}, which is not trained on:"
            yield from report_text(self.second, (self.target,), self.recipe)
        head = ("texts", "layer", "arm", "over", "test", "difference", "shuffled", "verdict")
        rows: list[tuple[str, ...]] = []
        for row in self.tests:
            one = row.difference
            figures = (interval(one.difference, signed=True), interval(one.shuffled, signed=True))
            named = (f"{row.where} ({row.texts})", str(row.layer), row.arm, row.over)
            rows.append((*named, NAMES[one.test], *figures, VERDICTS[one.level]))
        if rows:
            from core.alignment import further

            yield f"\nThe four tests at {self.target:g} nats, paired over texts. "
            yield further.told(self.tests)
            yield from aligned(head, rows, left=(0, 2, 3, 4, 7))
        if self.transfers:
            yield (
                f"\nEach foundation's test texts after training without it, at {self.target:g} "
                "nats; pole AUC along what parts the poles of the other four:"
            )
            shown = ("untouched", "without it", "change", "with all five", "change")
            cells = [
                (
                    *(row.foundation, str(row.texts), row.figure),
                    *(interval(one) for one in (row.untouched, row.without)),
                    interval(row.gain, signed=True),
                    interval(row.whole),
                    interval(row.whole_gain, signed=True),
                )
                for row in self.transfers
            ]
            yield from aligned(("left out", "texts", "figure", *shown), cells, left=(0, 2))

    def json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        found: dict[str, Any] = {}
        if self.second is not None:
            found["second set"] = {
                "name": self.name,
                **record(self.second, (self.target,), self.recipe),
            }
        if self.tests:
            names = ("where", "texts", "layer", "arm", "over")
            found["four tests"] = [
                dict(zip(names, row[:5], strict=True))
                | {
                    "test": row.difference.test,
                    "difference": _finite(row.difference.difference),
                    "shuffled": _finite(row.difference.shuffled),
                    "level": row.difference.level,
                }
                for row in self.tests
            ]
        if self.transfers:
            found["left out"] = [
                row._asdict() | {name: _finite(getattr(row, name)) for name in row._fields[3:]}
                for row in self.transfers
            ]
        return found


def report_text(
    report: "AlignReport", targets: tuple[float, ...], recipe: "Recipe" = "repaired"
) -> Lines:
    """Yield a report as text: verdicts, arms at each divergence, differences."""
    yield (
        f"{report.latents} latents of layer {report.layer}; {report.texts} test texts, opened "
        f"{report.opened} times before."
    )
    for target in targets:
        yield ""
        yield report.told(target, recipe)
        head = ("arm", "seeds", "share", "KL", *(one.name for one in FIGURES))
        yield from aligned(head, [_row(report, arm, target) for arm in report.arms], left=(0,))
        yield ""
        head = (f"{recipe} minus", *(one.name for one in FIGURES))
        others = [arm for arm in report.arms if arm != recipe]
        rows = [
            (
                arm,
                *(
                    interval(report.gain(recipe, arm, target, one.kind, one.at), signed=True)
                    for one in FIGURES
                ),
            )
            for arm in others
        ]
        yield from aligned(head, rows, left=(0,))


def _row(report: "AlignReport", arm: str, target: float) -> tuple[str, ...]:
    runs = report.of(arm, target)
    if not runs:
        why = "changed nothing" if report.unchanged(arm) else "does not reach it"
        return (arm, "0", why, *[""] * (1 + len(FIGURES)))
    means = [
        number(float(np.mean([run.value for run in report.figures(arm, target, one.kind, one.at)])))
        for one in FIGURES
    ]
    dose = [
        float(np.mean([getattr(run.outcome, name) for run in runs])) for name in ("share", "kl")
    ]
    shown = ("–", "0") if np.isclose(dose[1], 0) else (f"{dose[0]:.2f}", f"{dose[1]:.3f}")
    return (arm, str(len(runs)), *shown, *means)


def trained_text(desk: Desk, study: "Study", base: "Dictionary", spec: AlignSpec) -> Lines:
    """Yield what training came to: the objective, the paper's terms, each seed by itself."""
    from core.alignment.arms import merit
    from core.alignment.jobs import candidates, trained_arm
    from core.alignment.paper import DIFFERENCES, FAULTS, TERMS, term_verdicts

    tried = candidates(desk.work, study, base, spec) if spec.objective == "chosen" else None
    if tried is not None:
        reached = ", ".join(f"{one} {merit(arm):.3f}" for one, arm in tried.items())
        untouched = f"{tried['cka'].curve[0].merit:.3f}"
        yield ""
        yield (
            f"Objective: {max(tried, key=lambda one: merit(tried[one]))}, by the CKA that "
            f"validation texts reach at equal size of change ({reached}, untouched {untouched})."
        )
    papers = [
        trained_arm(desk.work, study, base, spec, "paper", seed) for seed in range(spec.seeds)
    ]
    rows = [
        (one.name, str(seed), *(f"{figure:.3f}" for figure in one[1:4]), one.said)
        for seed, paper in enumerate(papers)
        if paper is not None
        for one in term_verdicts(paper.curve, paper.best, paper.silent)
    ]
    if "paper" in spec.arms and rows:
        yield ""
        head = ("the paper's term", "seed", "before", "after", "latents silent", "so it")
        yield from aligned(
            head, sorted(rows, key=lambda row: list(TERMS).index(row[0])), left=(0, 5)
        )
        yield ""
        yield f"Faults kept as they are. {DIFFERENCES}"
        yield from (f"{name}: {fault}" for name, fault in FAULTS.items())


def record(report: "AlignReport", targets: tuple[float, ...], recipe: "Recipe") -> dict[str, Any]:
    """Return a report as JSON values."""
    return {
        "layer": report.layer,
        "latents": report.latents,
        "texts": report.texts,
        "opened before": report.opened,
        "divergences": [
            {
                "target": target,
                "verdict": report.verdict(target, recipe),
                "told": report.told(target, recipe),
                "arms": {
                    arm: {
                        one.name: [
                            run.value for run in report.figures(arm, target, one.kind, one.at)
                        ]
                        for one in FIGURES
                    }
                    for arm in report.arms
                },
                f"{recipe} minus": {
                    arm: {
                        one.name: _finite(report.gain(recipe, arm, target, one.kind, one.at))
                        for one in FIGURES
                    }
                    for arm in report.arms
                    if arm != recipe
                },
            }
            for target in targets
        ],
    }


def _finite(figure: Estimate) -> Estimate | None:
    """Return a figure; None where there is none: NaN is no JSON."""
    return figure if np.isfinite(figure).all() else None
