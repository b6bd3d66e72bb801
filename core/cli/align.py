"""The command ``align``: train a dictionary's moral latents and hold them against controls."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from core.cli.align_told import Further, record, report_text, trained_text
from core.cli.arguments import add_items, add_json, add_numbers, add_read, read_of, request_of
from core.cli.desk import Desk, ReadRequest, make_read, study_of
from core.cli.dictionary import AddCommand, dictionary_of
from core.sae.files import save_folder
from core.sae.releases import FORMS
from core.sae.shelf import BUILTIN, keep_dictionary
from core.wording import Lines

if TYPE_CHECKING:
    from core.activations.study import Study
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
        yield json.dumps(record(report, targets, args.recipe) | further.json(), indent=1)
    else:
        yield from report_text(report, targets, args.recipe)
        yield from trained_text(desk, study, base, spec)
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


def _further(
    desk: Desk,
    args: argparse.Namespace,
    study: "Study",
    base: "Dictionary",
    spec: AlignSpec,
    targets: tuple[float, ...],
) -> Further:
    from core.alignment.further import four_tests
    from core.alignment.jobs import Divergence
    from core.alignment.left_out import left_out
    from core.alignment.second_set import second_report

    at = Divergence(desk.work, study, base, spec, targets, targets[0])
    second = None
    if args.second is not None:
        asked = ReadRequest(study.card.spec, args.second, study.plan.spec)
        second = study_of(desk, asked)
    judged, tests = None, []
    if second is not None:
        judged = desk.make(second_report(at, second))
    if args.tests:
        tests = desk.make(four_tests(at, second))
    name = "" if second is None else second.items.provenance.name
    transfers = []
    if args.leave_out:
        transfers = desk.make(left_out(at))
    return Further(tests, judged, name, at.target, args.recipe, transfers)
