"""What one cell of a table says: its foundations, its pole, its number."""

import math
import re
from typing import Final

from core.dataset.records import BLANKS
from core.foundations import DIMENSIONS, FOUNDATIONS

#: Cells that pandas reads as missing, and with it the paper's filter.
#: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html, ``na_values``.
MISSING_CELLS: Final = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
#: One pole, one axis, or the older names of Moral Foundations Theory -> index into FOUNDATIONS.
_NAMES: Final = (
    {name: index for index, name in enumerate(FOUNDATIONS)}
    | {pole: index for index, name in enumerate(FOUNDATIONS) for pole in name.split("-")}
    | {"purity": FOUNDATIONS.index("sanctity-degradation")}
    | {"ingroup": FOUNDATIONS.index("loyalty-betrayal")}
)
#: Words for a pole -> its sign; a foundation's own poles are such words too.
_SIGNS: Final = (
    dict.fromkeys(("virtue", "virtuous", "good", "moral", "right", "ethical", "positive", "pos"), 1)
    | dict.fromkeys(("vice", "vicious", "bad", "immoral", "wrong", "unethical", "negative"), -1)
    | {"acceptable": 1, "unacceptable": -1, "neg": -1, "neutral": 0}
    | {name: -1 if place % 2 else 1 for place, name in enumerate(DIMENSIONS)}
)
#: Said where a cell is no pole.
POLE_WORDS: Final = (
    "virtue or vice, good or bad, moral or immoral, right or wrong, positive or negative, 1 or -1; "
    "neutral or 0"
)

#: What may stand around a foundation's name, and between its two poles.
_AROUND: Final = re.compile(rf"""^[{BLANKS}"'\[\]()]+|[{BLANKS}"'\[\]()]+$""")
_BETWEEN: Final = re.compile(rf"[{BLANKS}_/\u2010-\u2015\u2212-]+")
#: What spreadsheets write around a number.
_AROUND_NUMBER: Final = re.compile(rf"""^[{BLANKS}="']+|[{BLANKS}"']+$""")
_DECIMAL_COMMA: Final = re.compile(r"([+-]?[0-9]*),([0-9]+)")


def parse_foundations(cell: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the foundations in a cell (sorted indices, no repeats) and the parts not understood.

    Parts are joined by a bar, comma or semicolon (also as a written list: ``["care", "harm"]``); a
    part is an axis (``care-harm``, ``Care/Harm``, ``care_harm``) or one pole (``care``).
    """
    known, unknown = set(), []
    for part in re.split(r"[|,;]", cell):
        plain = _AROUND.sub("", part)
        name = _BETWEEN.sub("-", plain.casefold())
        if name in _NAMES:
            known.add(_NAMES[name])
        elif plain:
            unknown.append(plain)
    return tuple(sorted(known)), tuple(unknown)


def parse_sign(cell: str) -> int | None:
    """Return 1 for a virtue, -1 for a vice, 0 for neither, None for a cell that is no pole."""
    number = parse_number(cell)
    if number is not None:
        return int(number) if number in (-1, 0, 1) else None
    return _SIGNS.get(_AROUND.sub("", cell).casefold())


def parse_number(cell: str) -> float | None:
    """Return the number in a cell, with a point or a decimal comma; None where it is none."""
    plain = _AROUND_NUMBER.sub("", cell).replace("\u2212", "-")
    try:
        number = float(_DECIMAL_COMMA.sub(r"\1.\2", plain))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
