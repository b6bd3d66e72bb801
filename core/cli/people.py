"""The command ``people``: the human map, drawn ahead."""

import argparse
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from core.cli.arguments import add_items
from core.cli.desk import Desk
from core.cli.dictionary import AddCommand
from core.maps.people import write_places
from core.maps.projection import LayoutSpec, project
from core.wording import Lines


def people(desk: Desk, args: argparse.Namespace) -> Lines:
    """Draw a set's different moral vectors by UMAP and tell how far to trust it.

    Raises:
        CoreError: There is no such set, or the file cannot be written.
    """
    vectors, spec = np.unique(desk.work.items(args.items).vectors(), axis=0), LayoutSpec("umap")
    layout = project(vectors, spec, metric="euclidean")
    trust = layout.trust
    yield (
        f"{len(vectors)} different moral vectors; trustworthiness {trust.trustworthiness:.3f}, "
        f"keeps {trust.kept:.0%} of their neighbours (by chance {trust.chance:.1%})."
    )
    if args.out is not None:
        command = "python -m core " + shlex.join(args.words)
        write_places(args.out, vectors, spec, layout, command)
        yield f"Wrote it to {args.out}."


def add_command(add: Any, add_one: AddCommand) -> None:
    """Add the command.

    Args:
        add: Where commands are added.
        add_one: Adds one of them.
    """
    added = add_one(add, "people", people, "draw the human map ahead", "--out map.json", "")
    add_items(added)
    added.add_argument("--out", type=Path, metavar="FILE", help="write it into a file")
