"""The commands for many models and other machines: ``sweep``, ``pack``, ``unpack``."""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from core import CoreError
from core.activations.jobs import untrained
from core.activations.prompts import Pooling
from core.cli.arguments import add_items, add_read, check_folder, read_of, request_of
from core.cli.cluster import PLACES, Jobs, cancelled, dry_run, emitted, logs, one_row, sent, stand
from core.cli.desk import Desk, study_of
from core.cli.sweep import Sweep, settled, sweep
from core.diagnosis.diagnosis import DiagnosisSpec
from core.leaderboard.model_list import PAPER, PAPER_FILE, read_list
from core.leaderboard.pack import pack, unpack
from core.leaderboard.pack_file import SUFFIX
from core.statistics.scaling import Scaling
from core.wording import SHOWN_DIGITS, bytes_text, facts

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
    add_items(sweeps)
    add_read(sweeps, "what the models read, such as '{action} is morally'")
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
    _add_jobs(sweeps.add_mutually_exclusive_group())


def _add_jobs(ways: Any) -> None:
    """Add the ways to run rows as jobs of their own."""
    ways.add_argument(
        "--on",
        choices=PLACES,
        help="each row is a job: sent to Slurm, a process here, or (debug) in this process; the "
        "same command again sends what failed and gathers what is done",
    )
    ways.add_argument(
        "--dry-run",
        action="store_true",
        help="tell what memory, disk and hours each row needs, and run nothing",
    )
    ways.add_argument(
        "--emit", choices=("sbatch",), help="write a script that sends the rows, to be read first"
    )
    ways.add_argument("--states", action="store_true", help="tell how the rows' jobs stand")
    ways.add_argument("--logs", type=int, metavar="ROW", help="tell what a row's job has said")
    ways.add_argument(
        "--cancel",
        type=int,
        nargs="?",
        const=0,
        metavar="ROW",
        help="stop the job of a row, or of all; what is stored stays",
    )
    ways.add_argument("--row", type=int, metavar="ROW", help="measure this row alone, as its job")


def _sweep(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    path = Path(args.list).expanduser()
    named = args.list == PAPER and not path.exists()
    entries = read_list(PAPER_FILE if named else path)
    measured = DiagnosisSpec(
        scaling=args.scaling, draws=args.draws, shuffles=args.shuffles, seed=args.seed
    )
    asked = Sweep(args.items, read_of(args), args.pooling, measured, not args.no_control)
    if not _as_jobs(args):
        return sweep(desk, entries, asked, args.out)
    asked = settled(desk, asked)
    words = ("sweep", PAPER if named else str(path.absolute()), *_words(args, asked.items))
    return _job_command(Jobs(desk, entries, asked, words), args)


def _as_jobs(args: argparse.Namespace) -> bool:
    numbers = (args.logs, args.cancel, args.row)
    return any((args.on, args.dry_run, args.emit, args.states, *(n is not None for n in numbers)))


def _job_command(jobs: Jobs, args: argparse.Namespace) -> Iterable[str]:
    if args.on:
        return sent(jobs, args.on, args.out)
    plain = {"dry_run": dry_run, "emit": emitted, "states": stand}
    for name, way in plain.items():
        if getattr(args, name):
            return way(jobs)
    numbered = {"logs": logs, "cancel": cancelled, "row": one_row}
    name = next(one for one in numbered if getattr(args, one) is not None)
    return numbered[name](jobs, getattr(args, name))


def _words(args: argparse.Namespace, items: str) -> list[str]:
    """Return the options that say what is asked, for the command of another process."""
    told = [f"--items={items}"]
    for name in ("preset", "template", "pooling", "scaling", "draws", "shuffles", "seed"):
        value = getattr(args, name)
        told += [] if value is None else [f"--{name}={value}"]
    return [*told, "--no-control"] if args.no_control else told


def add_packs(subparsers: Any, add: Add) -> None:
    """Add the commands that make a pack and open one."""
    summary = "put what a model made of a set into one file, for machines without the model"
    packs = add(subparsers, "pack", _pack, summary, f"packaged --out gemma{SUFFIX}")
    packs.add_argument("model", metavar="MODEL")
    add_items(packs)
    add_read(packs, "what the model read, if not the default")
    packs.add_argument("--out", type=Path, required=True, metavar="FILE")
    summary = "check a pack and open it: its maps and figures are shown without the model"
    opens = add(subparsers, "unpack", _unpack, summary, f"gemma{SUFFIX}")
    opens.add_argument("file", type=Path, metavar="FILE")


def _pack(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    check_folder(args.out)
    study = study_of(desk, request_of(args, read_of(args)))
    copy, lacks = None, ""
    try:
        copy = untrained(desk.work, study)
    except CoreError as error:
        lacks = f"Without the untrained copy: {error}"
    made = desk.job(
        {"pack": str(args.out.absolute())},
        f"Packing {study.card.name}",
        partial(pack, desk.work.store, study, copy, args.out),
        "data",
    )
    yield from (text for text in (*made.told, lacks) if text)
    yield f"Wrote {args.out}, {bytes_text(args.out.stat().st_size)}."
    yield f"Open it anywhere with: python -m core unpack {args.out.name}"


def _unpack(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    opened = desk.job(
        {"unpack": str(args.file.absolute())},
        f"Opening {args.file.name}",
        partial(unpack, desk.work.store, args.file),
        "data",
    )
    yield from opened.told
    yield f"{args.file.name} is open." if opened.new else f"{args.file.name} was open already."
    name = opened.set_name[:SHOWN_DIGITS]
    yield from facts({"model": str(opened.spec), "items": name})
    yield f"Look at it with: python -m core diagnose {opened.spec} --items {name}"
