"""The commands for many models: ``sweep``."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

from core.commands import Desk
from core.diagnosis import DiagnosisSpec
from core.prompts import PRESETS, Pooling
from core.scaling import Scaling
from core.sweep import Sweep, sweep
from core.sweeplist import PAPER, PAPER_FILE, read_list
from core.workbench import BUILTIN

#: Adds a command: subparsers, name, what runs it, summary, example.
Add = Callable[..., argparse.ArgumentParser]
_LIST: Final = (
    f"a TOML file with one [[model]] per model (see README.md), or {PAPER!r}: the paper's 23"
)


def add_sweep(subparsers: Any, add: Add) -> None:
    """Add the command that measures a list of models."""
    summary = "measure every model of a list, one after the other, and write one table"
    sweeps = add(subparsers, "sweep", _sweep, summary, "models.toml --items builtin")
    sweeps.add_argument("list", metavar="LIST", help=_LIST)
    sweeps.add_argument("--items", default=BUILTIN, metavar="SET", help="default: builtin")
    sweeps.add_argument("--preset", choices=tuple(PRESETS), default="default")
    sweeps.add_argument("--template", help="what the models read, such as '{action} is morally'")
    plain = DiagnosisSpec()
    sweeps.add_argument("--pooling", choices=get_args(Pooling))
    sweeps.add_argument("--scaling", choices=get_args(Scaling), default=plain.scaling)
    for name in ("draws", "shuffles", "seed"):
        sweeps.add_argument(f"--{name}", type=int, default=getattr(plain, name), metavar="N")
    sweeps.add_argument(
        "--no-control", action="store_true", help="leave the untrained copies of the models out"
    )
    sweeps.add_argument(
        "--out",
        type=Path,
        default=Path("sweep.parquet"),
        metavar="FILE",
        help="the table, one row per model and test; default: %(default)s",
    )


def _sweep(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    path = Path(args.list).expanduser()
    entries = read_list(PAPER_FILE if args.list == PAPER and not path.exists() else path)
    read = PRESETS[args.preset]
    if args.template is not None:
        read = replace(read, template=args.template)
    measured = DiagnosisSpec(
        scaling=args.scaling, draws=args.draws, shuffles=args.shuffles, seed=args.seed
    )
    asked = Sweep(args.items, read, args.pooling, measured, not args.no_control)
    return sweep(desk, entries, asked, args.out)
