"""The command ``features``: which latents of a dictionary are moral, without a browser."""

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core import CoreError
from core.activations.prompts import PRESETS
from core.cli.arguments import add_items, add_json, request_of
from core.cli.desk import Desk, make_read, study_of
from core.cli.dictionary import AddCommand, dictionary_of
from core.features.jobs import MoralLatents, ranked, words
from core.features.kinds import SHOWN
from core.features.logit_lens import short_names
from core.features.ranking import FeatureSpec
from core.foundations import DIMENSIONS
from core.sae.latent_names import latent_names, write_names
from core.sae.releases import FORMS
from core.sae.shelf import BUILTIN
from core.wording import Lines, aligned, number

if TYPE_CHECKING:
    import pandas as pd

#: Rows that a terminal shows; files hold all.
_MOST: Final = 40


def features(desk: Desk, args: argparse.Namespace) -> Lines:
    """Take a set apart by a dictionary and tell which latents are moral.

    Raises:
        CoreError: The dictionary does not fit, or nothing can be judged.
    """
    from core.features.view import counts_table, latents  # pandas: half a second of every command

    study = study_of(desk, request_of(args, PRESETS[args.preset]))
    dictionary = dictionary_of(desk, study, args.dictionary)
    if args.names is not None:
        lens = desk.make(words(desk.work, study, dictionary, range(dictionary.n_latents)))
        command = "python -m core " + shlex.join(args.words)
        named = short_names(lens, study.items.texts())
        write_names(args.names, dictionary, named, command)
        yield f"Wrote the names of {dictionary.n_latents:,} latents to {args.names}."
        return
    make_read(desk, study)
    spec = FeatureSpec(permutations=args.permutations, seed=args.seed)
    found = desk.make(ranked(desk.work, study, dictionary, spec))
    names = latent_names(desk.work.store, dictionary)
    table = latents(found.scores, args.dimension, args.latents, names=names)
    if args.csv is not None:
        yield from _written(table, args)
    elif args.json:
        yield json.dumps(
            {
                "dictionary": dictionary.digest,
                "counts": counts_table(found.scores).to_dict("records"),
                "latents": json.loads(table.to_json(orient="records")),
            },
            indent=1,
        )
    else:
        yield from _told(found, table)


def _written(table: "pd.DataFrame", args: argparse.Namespace) -> Lines:
    from core.exports import csv_bytes

    try:
        args.csv.write_bytes(csv_bytes(table))
    except OSError as error:
        raise CoreError(
            f"{args.csv} cannot be written: {error.strerror}. Name another file."
        ) from error
    yield f"Wrote {len(table):,} latents to {args.csv}."


def _told(found: MoralLatents, table: "pd.DataFrame") -> Lines:
    from core.features.view import counts_table, headline

    yield headline(found.scores).rstrip(".") + "."
    yield from found.scores.notes
    yield ""
    counted = counts_table(found.scores)
    rows = [tuple(map(str, row)) for row in counted.itertuples(index=False)]
    yield from aligned(tuple(counted.columns), rows, left=(0, 4))
    yield ""
    head = ("latent", "kind", "dimension", "AUROC", "low", "high", "q", "within", "on in")
    rows = [_row(row) for row in table.head(_MOST).to_dict("records")]
    yield from aligned(head, rows, left=(1, 2))
    if len(table) > _MOST:
        yield f"… and {len(table) - _MOST:,} more: --csv FILE writes all."


def _row(row: dict[Any, Any]) -> tuple[str, ...]:
    figures = ("membership test", "membership low", "membership high", "membership q")
    return (
        str(row["latent"]),
        row["kind"],
        row["dimension"] if isinstance(row["dimension"], str) else "–",
        *(number(row[name], 3) for name in figures),
        number(row["within test"], 3),
        f"{row['density']:.1%}",
    )


def add_command(top: Any, add: AddCommand) -> None:
    """Add the command to those of ``python -m core``.

    Args:
        top: Where commands are added.
        add: Adds one, as for ``cli.dictionary``.
    """
    told = "take the items apart by a dictionary and tell which latents are moral"
    one = add(top, "features", features, told, "packaged --dimension care", "")
    one.add_argument("model", metavar="MODEL")
    add_items(one)
    one.add_argument(
        "--dictionary",
        default=BUILTIN,
        metavar="DICT",
        help=f"'builtin', digits of a digest (see 'dictionary list'), or {FORMS}",
    )
    one.add_argument("--preset", choices=tuple(PRESETS), default="default")
    one.add_argument("--dimension", choices=DIMENSIONS, help="whose latents; default: all")
    one.add_argument("--latents", choices=SHOWN, default="related")
    one.add_argument("--permutations", type=int, default=FeatureSpec().permutations, metavar="N")
    one.add_argument("--seed", type=int, default=0, metavar="N")
    one.add_argument("--csv", type=_path, metavar="FILE", help="write the latents into a file")
    one.add_argument(
        "--names",
        type=_path,
        metavar="FILE",
        help="only write the words that each latent promotes, as its name, into a file",
    )
    add_json(one)


def _path(text: str) -> Path:

    return Path(text).expanduser()
