"""Numbers, intervals, sizes and times in words; tables and facts as aligned plain text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from core.statistics.bootstrap import Estimate

Lines = Iterator[str]

#: Digits of a digest that are shown.
SHOWN_DIGITS: Final = 12
#: Where a figure and its whole interval are smaller, two decimals do not tell them apart.
_SMALL: Final = 0.1


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> Lines:
    """Yield a table, columns two blanks apart.

    Args:
        head: Column titles.
        rows: Cells.
        left: Numbers of the columns set to the left; the others are set to the right.
    """
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def facts(pairs: Mapping[str, str]) -> Lines:
    """Yield one line for each fact that is known, names padded to one width."""
    known = {name: text for name, text in pairs.items() if text}
    width = max(map(len, known), default=0)
    yield from (f"{name.ljust(width)}  {text}" for name, text in known.items())


def bytes_text(size: int) -> str:
    """Write a size for people: ``12 kB``, ``3.4 MB``, ``2.6 GB``."""
    if size >= 1e9:
        return gigabytes(size)
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Write a time for people: ``5 s``, ``12 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float, places: int = 2, *, signed: bool = False) -> str:
    """Write a figure; a dash where there is none.

    Args:
        value: The figure, NaN if it cannot be computed.
        places: Decimals.
        signed: Write a plus before what is above 0, too.
    """
    if np.isnan(value):
        return "–"
    sign = "+" if signed else ""
    return f"{round(value, places) + 0.0:{sign}.{places}f}".replace("-", "−")


def interval(figure: Estimate, places: int | None = None, *, signed: bool = False) -> str:
    """Write a figure with its interval in brackets.

    Where there is none, a table, whose decimals are fixed, has a dash; a sentence says so.

    Args:
        figure: Value and interval.
        places: Decimals; None: two, three where figure and interval are small, or where an end
            that is not 0 would be written as 0: on which side it lies is what decides.
        signed: Write a plus before a value above 0, too.
    """
    if np.isnan(figure.value):
        return "not computable" if places is None else "–"
    return " ".join(in_parts(figure, places, signed=signed)).rstrip()


def in_parts(
    figure: Estimate, places: int | None = None, *, signed: bool = False
) -> tuple[str, str]:
    """Return a figure and its interval in brackets, each by itself; as ``interval`` writes them."""
    if places is None:
        hidden = any(end != 0 == round(end, 2) for end in figure[1:])
        large = np.isnan(figure.value) or np.nanmax(np.abs(figure)) >= _SMALL
        places = 2 if large and not hidden else 3
    low, high = number(figure.low, places), number(figure.high, places)
    return number(figure.value, places, signed=signed), "" if np.isnan(
        figure.low
    ) else f"[{low}, {high}]"


def gigabytes(size: int) -> str:
    """Write a size in bytes for people: ``2.6 GB``."""
    return f"{size / 1e9:.1f} GB" if size < 1e11 else f"{size / 1e9:.0f} GB"
