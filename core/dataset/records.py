"""Where the records and cells of a text table begin and end, by the standards of CSV and TSV.

DuckDB reads the rows; this reads a head for the preview, and says which line of the file a record
begins on, which DuckDB does not know behind a line end inside a quoted cell. Python's own idea of
a line (``str.splitlines``) is of no use: it also ends one at a vertical tab or U+2028.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

#: What a person sees as nothing, as the inside of a class of characters that Python's ``re`` and
#: DuckDB's RE2 read alike: controls, every blank of Unicode, signs of no width, empty letters.
BLANKS: Final = (
    "\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180e\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufeff\uffa0"
)
_ENDS: Final = re.compile(rf"^[{BLANKS}]+|[{BLANKS}]+$")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_MARK: Final = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """One record of a text table."""

    line: int
    """The line of the file it begins on, from 1."""

    cells: tuple[str, ...]
    """Its cells, freed of their quotes."""

    @property
    def empty(self) -> bool:
        """Whether the record is an empty line, which is no row."""
        return self.cells == ("",)


def trimmed(text: str) -> str:
    """Return a text without the blanks at its ends, whichever of Unicode's they are."""
    return _ENDS.sub("", text)


def records(data: bytes | mmap.mmap, delimiter: str, *, quoted: bool) -> Iterator[Record]:
    """Yield every record, empty lines included.

    Args:
        data: The text in UTF-8.
        delimiter: The one ASCII sign between cells.
        quoted: Whether quotes hold delimiters and line ends together. A quote that is not closed
            is a plain sign, so one of them cannot swallow the rest of the file.
    """
    between = re.escape(delimiter.encode())
    whole = re.compile(rb' *"([^"]*+(?:""[^"]*+)*+)" *(?=' + between + rb"|[\r\n]|\Z)")
    plain = re.compile(rb"[^\r\n" + between + rb"]*+")
    line, at = 1, len(_MARK) if data[: len(_MARK)] == _MARK else 0
    while at < len(data):
        start, cells = at, []
        while True:
            found = whole.match(data, at) if quoted else None
            if found:
                cell = found[1].replace(b'""', b'"')
            else:
                found = plain.match(data, at)
                cell = found[0] if found else b""
            at = found.end() if found else at
            cells.append(cell.decode("utf-8", "replace"))
            if data[at : at + 1] != delimiter.encode():
                break
            at += 1
        yield Record(line, tuple(cells))
        end = _LINE_END.match(data, at)
        at = end.end() if end else at
        line += len(_LINE_END.findall(data, start, at))


def line_of_record(path: Path, delimiter: str, number: int, *, quoted: bool) -> int:
    """Return the line on which a record of a file begins, counting empty lines as records.

    Args:
        path: The file.
        delimiter: Between its cells.
        number: Of the record, from 1; the header is the first.
        quoted: As for ``records``.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for place, record in enumerate(records(data, delimiter, quoted=quoted), start=1):
            if place == number:
                return record.line
    return number


def line_of_row(path: Path, delimiter: str, row: int, skipped: int, *, quoted: bool) -> int:
    """Return the line on which a row of a file begins; empty lines are no rows.

    Args:
        path: The file.
        delimiter: Between its cells.
        row: From 1, after the header.
        skipped: Lines before the header.
        quoted: As for ``records``.
    """
    count = -1  # the header
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for record in records(data, delimiter, quoted=quoted):
            count += record.line > skipped and not record.empty
            if count == row:
                return record.line
    return 0
