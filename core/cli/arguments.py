"""Arguments that several commands have, and what is meant by them."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import CoreError
from core.activations.prompts import PRESETS, ReadSpec
from core.cli.desk import ReadRequest
from core.models.spec import ModelSpec
from core.workbench import BUILTIN


def add_items(parser: argparse.ArgumentParser) -> None:
    """Add the set of items."""
    parser.add_argument("--items", default=BUILTIN, metavar="SET", help="default: builtin")


def add_read(parser: argparse.ArgumentParser, template: str) -> None:
    """Add how items are read; ``template`` is the help of that option."""
    parser.add_argument("--preset", choices=tuple(PRESETS), default="default")
    parser.add_argument("--template", help=template)


def add_json(parser: Any, other: str = "text") -> None:
    """Add the choice of JSON in place of what is printed else."""
    parser.add_argument("--json", action="store_true", help=f"one JSON object instead of {other}")


def add_numbers(
    parser: argparse.ArgumentParser, plain: object, meanings: Iterable[tuple[str, str]]
) -> None:
    """Add whole numbers: names and what they mean; their defaults are attributes of ``plain``."""
    for name, meaning in meanings:
        parser.add_argument(
            f"--{name}",
            type=int,
            default=getattr(plain, name),
            metavar="N",
            help=f"{meaning}; default: %(default)s",
        )


def check_folder(path: Path) -> None:
    """Refuse a file that no folder can take, before long work is done for it.

    Raises:
        CoreError: There is no such folder, or the file is one.
    """
    if not path.parent.is_dir():
        raise CoreError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_dir():
        raise CoreError(f"{path} cannot be written: it is a folder. Name a file in it.")


def read_of(args: argparse.Namespace) -> ReadSpec:
    """Return how items are read by what ``add_read`` added."""
    read = PRESETS[args.preset]
    return read if args.template is None else replace(read, template=args.template)


def request_of(args: argparse.Namespace, read: ReadSpec = PRESETS["default"]) -> ReadRequest:
    """Return which items are read by which model.

    Args:
        args: Hold the model and the set.
        read: How they are read.

    Raises:
        CoreError: The text names no model.
    """
    return ReadRequest(ModelSpec.parse(args.model), args.items, read)
