"""How ``compare`` is called. Apart from what it does: a parser is always made, pandas is not."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, get_args

from core.activations.prompts import Pooling
from core.cli.arguments import add_items, add_json, add_read
from core.cli.desk import Desk
from core.models.spec import FORMS
from core.statistics.scaling import Scaling

COPY, ITSELF, STEERED = "copy", "itself", "steered"
_OTHER: Final = (
    f"a model; {COPY!r}: MODEL's untrained copy, or of a copy its trained model; {ITSELF!r}: MODEL "
    f"at another layer or in another state; {STEERED!r}: MODEL steered while it reads, with "
    "--steer; or recipe: and the word behind recipe= in a link of the Steer page"
)
_AT: Final = "with it, the tests are compared at these layers instead of each model's best one"


def add_compare(
    subparsers: Any,
    add: Callable[..., argparse.ArgumentParser],
    run: Callable[[Desk, argparse.Namespace], Iterable[str]],
) -> None:
    """Add the command, and what runs it."""
    summary = "hold two models, or two readings of one, against each other: what differs, how sure"
    compares = add(subparsers, "compare", run, summary, "packaged copy --items builtin")
    compares.add_argument("model", metavar="MODEL", help=f"A: {FORMS}".replace("%", "%%"))
    compares.add_argument("other", metavar="OTHER", help=f"B: {_OTHER}")
    add_items(compares)
    add_read(compares, "what both read, such as '{action} is morally'")
    compares.add_argument("--layer", type=int, metavar="N", help=f"layer of MODEL; {_AT}")
    compares.add_argument(
        "--other-layer",
        type=int,
        metavar="N",
        help=f"layer of OTHER, default: at equal depth; {_AT}",
    )
    compares.add_argument("--pooling", choices=get_args(Pooling))
    compares.add_argument("--other-pooling", choices=get_args(Pooling), help="default: as MODEL")
    for name, meaning in (("scaling", "maps, states and actions"), ("tests", "the four tests")):
        compares.add_argument(
            f"--{name}",
            choices=get_args(Scaling),
            help=f"what is taken off the states of {meaning}; default: as on the page",
        )
    compares.add_argument(
        "--steer", metavar="AXIS=PERCENT", help="how OTHER 'steered' is steered, as care-harm=10"
    )
    compares.add_argument(
        "--steer-layer", type=int, metavar="N", help="after which layer; default: a third up"
    )
    form = compares.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", type=Path, metavar="FILE", help="write the differences as CSV")
    compares.add_argument(
        "--receipt", type=Path, metavar="FILE", help="all they depend on, as JSON"
    )
