"""The command of the claim court: ``claim``."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from core.cli.arguments import add_items, add_json, check_folder
from core.cli.desk import Desk, find_items
from core.leaderboard.model_list import PAPER
from core.models.spec import ModelSpec
from core.workbench import BUILTIN


def add_command(subparsers: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    summary = "judge claims by what is cached: supported, not supported, not decidable here"
    claims = add(subparsers, "claim", _claim, summary, "paper --items builtin")
    claims.add_argument(
        "docket",
        metavar="FILE",
        help=f"a TOML file with one [[claim]] per claim, or {PAPER!r}: the paper's own",
    )
    add_items(claims)
    add_json(claims)
    claims.add_argument(
        "--out", type=Path, metavar="FILE", help="write verdicts, figures and receipts as JSON"
    )
    claims.add_argument(
        "--verify",
        nargs="*",
        metavar="MODEL",
        help="first read some texts of opened packs again, by these models or those at hand",
    )


def _claim(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    # pandas: half a second of every command
    from core.claims.docket import PAPER_FILE, hear, json_text, read_docket, text

    if args.out is not None:
        check_folder(args.out)
    path = Path(args.docket).expanduser()
    entries = read_docket(PAPER_FILE if args.docket == PAPER and not path.exists() else path)
    name = args.items if args.items == BUILTIN else find_items(desk, args.items).digest
    if args.verify is not None:
        for line in _verified(desk, name, [ModelSpec.parse(one) for one in args.verify]):
            desk.tell(line)
    verdicts = hear(desk.work, entries, name)
    if args.out is not None:
        args.out.write_text(json_text(verdicts), encoding="utf-8")
    return [json_text(verdicts)] if args.json else text(verdicts)


def _verified(desk: Desk, set_name: str, models: Sequence[ModelSpec]) -> Iterable[str]:
    """Check the packs of a set, as far as their models are here."""
    from core.claims.evidence import Evidence

    for one in Evidence(desk.work, set_name).packs(models):
        if isinstance(one, str):
            yield f"{one}: its model is not on this machine, so no text can be read again."
            continue
        found = desk.make(one)
        good = f"as packed (states within {found.difference:.0e} of their length)"
        yield f"{one.title}: {found.problem or good}."
