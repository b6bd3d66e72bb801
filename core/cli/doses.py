"""The command ``doses``: how far each foundation's axis may be pushed, and what that does."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import CoreError
from core.activations.study import Study
from core.cli.arguments import add_items, request_of
from core.cli.desk import Desk, make_read, study_of
from core.cli.dictionary import AddCommand
from core.foundations import FOUNDATIONS
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.safe_ranges import SAFE_KL, Ends, RangeSpec
from core.steering.effects.shipped_doses import made_from, write_doses
from core.wording import Lines, aligned


def doses(desk: Desk, args: argparse.Namespace) -> Lines:
    """Tell the safe range of each axis, and what is known of its effect there.

    Raises:
        CoreError: There is no such layer, or no axis has a direction.
    """
    from core.steering.jobs import safe_ranges  # pandas: half a second of every command

    study = study_of(desk, request_of(args))
    layers = _layers(study, args.layer)
    make_read(desk, study)
    found = {layer: desk.make(safe_ranges(desk.work, study, RangeSpec(layer))) for layer in layers}
    rows = [
        (str(layer), *(_text(ranges.get(axis)) for axis in FOUNDATIONS))
        for layer, ranges in found.items()
    ]
    yield from aligned(("layer", *FOUNDATIONS), rows, left=(0,))
    yield f"Between these strengths neutral text diverges by at most {SAFE_KL:g} nats per word."
    said = {layer: _said(desk, study, layer, judge=args.judge) for layer in layers}
    for layer, by_axis in said.items():
        yield from (f"{axis}, layer {layer}: {one}" for axis, one in by_axis.items())
    if args.out is not None:
        command = "python -m core " + shlex.join(args.words)
        write_doses(args.out, made_from(study, RangeSpec(0)), found, said, command)
        yield f"Wrote it to {args.out}, with what {sum(map(len, said.values()))} sweeps said."


def _layers(study: Study, named: Sequence[int]) -> list[int]:
    every = range(study.card.n_layers)
    if lost := sorted(set(named) - set(every)):
        raise CoreError(
            f"{study.card.name} has no layer {lost[0]} to steer at. Choose 0 to {every[-1]}."
        )
    return sorted(set(named)) or list(every)


def _said(desk: Desk, study: Study, layer: int, *, judge: bool) -> dict[str, str]:
    """Return what the sweeps of a layer say: of those that are kept, or all made now."""
    from core.steering.jobs import strength_sweep

    found: dict[str, str] = {}
    for axis in FOUNDATIONS:
        made = strength_sweep(desk.work, study, SweepSpec(axis, layer))
        if (sweep := desk.make(made) if judge else made.open()) is not None:
            found[axis] = sweep.said
    return found


def _text(ends: Ends | None) -> str:
    return "–" if ends is None else f"{ends[0]:+.0%} … {ends[1]:+.0%}"


def add_command(add: Any, add_one: AddCommand) -> None:
    """Add the command.

    Args:
        add: Where commands are added.
        add_one: Adds one of them.
    """
    summary = "measure how far each axis may be pushed before neutral text suffers"
    added = add_one(add, "doses", doses, summary, "packaged --layer 12", "")
    added.add_argument("model", metavar="MODEL")
    add_items(added)
    added.add_argument(
        "--layer",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="only this layer; may be given several times",
    )
    added.add_argument(
        "--judge",
        action="store_true",
        help="hold each push against its control directions, too: minutes for each",
    )
    added.add_argument("--out", type=Path, metavar="FILE", help="write ranges and verdicts as JSON")
