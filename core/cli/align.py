"""The command ``align``: train a dictionary's moral latents and hold them against controls."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from core.alignment.shown import FIGURES
from core.alignment.spec import (
    ARMS,
    KL_TARGETS,
    MEANINGS,
    NEEDED,
    OBJECTIVES,
    RECIPES,
    AlignmentError,
    AlignSpec,
)
from core.cli.arguments import add_items, add_json, add_numbers, add_read, read_of, request_of
from core.cli.basic import Desk, ReadRequest, make_read, study_of
from core.cli.dictionary import AddCommand, dictionary_of
from core.sae.files import save_folder
from core.sae.releases import FORMS
from core.sae.shelf import BUILTIN, keep_dictionary
from core.statistics.bootstrap import Estimate
from core.wording import Lines, aligned, interval, number

if TYPE_CHECKING:
    from core.activations.study import Study
    from core.alignment.further import ArmDifference
    from core.alignment.left_out import Transfer
    from core.alignment.report import AlignReport
    from core.alignment.spec import Recipe
    from core.sae.dictionary import Dictionary


def add_command(subparsers: Any, add: AddCommand) -> None:
    """Add the command."""
    summary = "fine-tune a dictionary's moral latents towards people's vectors, beside controls"
    align = add(subparsers, "align", run, summary, "packaged --seeds 3 --kl 0.1", "")
    align.add_argument("model", metavar="MODEL")
    add_items(align)
    add_read(align, "what the model reads, if not the default")
    align.add_argument("--dictionary", default=BUILTIN, metavar="NAME", help=FORMS)
    plain = AlignSpec()
    numbers = (
        ("latents", "latents trained per foundation"),
        ("steps", "most steps of training"),
        ("seeds", "times that each arm is trained"),
    )
    add_numbers(align, plain, numbers)
    align.add_argument(
        "--kl",
        type=float,
        nargs="+",
        default=list(KL_TARGETS),
        metavar="NATS",
        help="divergences on neutral text at which arms are compared; default: %(default)s",
    )
    align.add_argument(
        "--tests",
        action="store_true",
        help="the four tests of each arm as well, and those of the pleasantness of plain things",
    )
    align.add_argument(
        "--second", metavar="SET", help="a set that is not trained on, judged as well"
    )
    align.add_argument(
        "--recipe",
        choices=RECIPES,
        default=RECIPES[0],
        help="what the verdict is about and is kept",
    )
    align.add_argument(
        "--objective",
        choices=("chosen", *OBJECTIVES),
        default=plain.objective,
        help="what the repaired recipe lifts; default: what validation texts choose",
    )
    align.add_argument(
        "--arms",
        nargs="+",
        default=[],
        choices=("all", *ARMS),
        metavar="ARM",
        help=f"further arms beside {', '.join(NEEDED)}: "
        + "; ".join(f"'{arm}', {MEANINGS[arm]}" for arm in ARMS if arm not in NEEDED)
        + "; 'all'",
    )
    align.add_argument(
        "--leave-out",
        action="store_true",
        help="train without each foundation as well, and ask its test texts",
    )
    add_json(align, "a table")
    align.add_argument(
        "--keep", action="store_true", help="put the dictionary of seed 0 on the model's shelf"
    )
    align.add_argument("--out", type=Path, metavar="FOLDER", help="write it as SAELens does")


def run(desk: Desk, args: argparse.Namespace) -> Lines:
    """Align a dictionary and tell what came of it.

    Raises:
        CoreError: The dictionary does not fit, or the set is too small.
    """
    from core.alignment.jobs import alignment, trained_arm  # torch: seconds of every command

    targets = tuple(dict.fromkeys(args.kl))
    if not all(0 < one <= 10 for one in targets):
        raise AlignmentError("A divergence must lie above 0 and at most at 10 nats, such as 0.1.")
    wanted = ARMS if "all" in args.arms else {*NEEDED, args.recipe, *args.arms}
    arms = tuple(arm for arm in ARMS if arm in wanted)
    spec = AlignSpec(
        latents=args.latents,
        steps=args.steps,
        seeds=args.seeds,
        arms=arms,
        objective=args.objective,
    )
    study = study_of(desk, request_of(args, read_of(args)))
    base = dictionary_of(desk, study, args.dictionary)
    make_read(desk, study)
    report = desk.make(alignment(desk.work, study, base, spec, targets))
    further = _further(desk, args, study, base, spec, targets)
    if args.json:
        yield json.dumps(_json(report, targets, args.recipe) | further.json(), indent=1)
    else:
        yield from told(report, targets, args.recipe)
        yield from _trained(desk, study, base, spec)
        yield from further.text()
    if not (args.keep or args.out):
        return
    after = trained_arm(desk.work, study, base, spec, args.recipe, 0)
    if after is None:
        raise AlignmentError("The aligned dictionary is gone: the cache was cleared. Start again.")
    if args.keep:
        name = keep_dictionary(desk.work.store, after.dictionary, study.card)
        yield f"On the shelf as {name[:12]}."
    if args.out is not None:
        save_folder(after.dictionary, args.out)
        yield f"Wrote {args.out}."


class _Further(NamedTuple):
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
            yield from told(self.second, (self.target,), self.recipe)
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
                **_json(self.second, (self.target,), self.recipe),
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


def _further(
    desk: Desk,
    args: argparse.Namespace,
    study: "Study",
    base: "Dictionary",
    spec: AlignSpec,
    targets: tuple[float, ...],
) -> _Further:
    from core.alignment.further import four_tests
    from core.alignment.left_out import left_out
    from core.alignment.second_set import second_report

    second, target = None, targets[0]
    if args.second is not None:
        asked = ReadRequest(study.card.spec, args.second, study.plan.spec)
        second = study_of(desk, asked)
    judged, tests = None, []
    if second is not None:
        made = second_report(desk.work, study, base, spec, targets, target=target, second=second)
        judged = desk.make(made)
    if args.tests:
        made_tests = four_tests(desk.work, study, base, spec, targets, target=target, second=second)
        tests = desk.make(made_tests)
    name = "" if second is None else second.items.provenance.name
    transfers = []
    if args.leave_out:
        transfers = desk.make(left_out(desk.work, study, base, spec, targets, target=target))
    return _Further(tests, judged, name, target, args.recipe, transfers)


def told(report: "AlignReport", targets: tuple[float, ...], recipe: "Recipe" = "repaired") -> Lines:
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


def _trained(desk: Desk, study: "Study", base: "Dictionary", spec: AlignSpec) -> Lines:
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


def _json(report: "AlignReport", targets: tuple[float, ...], recipe: "Recipe") -> dict[str, Any]:
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
