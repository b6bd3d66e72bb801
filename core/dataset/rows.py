"""The rows of a recognised table, read by DuckDB: every cell as text, what it means comes later."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from core import CoreError
from core.dataset.records import BLANKS, line_of_record, line_of_row, trimmed

if TYPE_CHECKING:
    import duckdb

Format = Literal["text", "jsonl", "parquet"]

#: Bytes of one line; longer ones are bad lines, so that one cell cannot fill the memory.
MAX_LINE: Final = 4 * 2**20
#: What DuckDB's bindings raise over names and cells of a damaged Parquet file that are no UTF-8.
NO_TEXT: Final = (RuntimeError, UnicodeError)


class TableError(CoreError):
    """A table that cannot be read, or holds what is not allowed."""


@dataclass(frozen=True)
class TableFile:
    """A file that was recognised and found safe to read."""

    path: Path
    """The file DuckDB reads: the person's own, or a copy in the workspace."""

    shown: str
    """Its name in messages."""

    format: Format
    """How the rows are written."""

    delimiter: str
    """Between cells of a ``text`` table, such as a comma; empty otherwise."""

    columns: tuple[str, ...]
    """Column names in the file's order."""

    sample: tuple[dict[str, str], ...]
    """The first rows, up to ``SAMPLE_ROWS``, column -> cell as text."""

    skipped: int = 0
    """Lines before the header of a ``text`` table."""


class BadLines(NamedTuple):
    """Lines that do not fit the table's columns."""

    lines: int
    """How many."""

    first: int
    """Line of the file where the first one begins, from 1; 0 where there is none."""

    fault: str
    """What is wrong with the first one, in words; empty where there is none."""

    quoted: bool = False
    """Whether quotes held cells together when the rows were read."""


@contextlib.contextmanager
def connection() -> Iterator["duckdb.DuckDBPyConnection"]:
    """Yield a DuckDB connection in memory that fetches nothing and spills nothing to disk."""
    import duckdb

    con = duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": "false", "temp_directory": ""}
    )
    try:
        yield con
    finally:
        con.close()


def literal(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


def json_fault(shown: str, line: int, fault: str) -> str:
    """Return the sentence for a line that is no JSON object."""
    return (
        f"Line {line} of {shown} is not a JSON object ({fault}). JSON Lines need one whole object "
        "on each line; mend this line and try again."
    )


def load_raw(
    con: "duckdb.DuckDBPyConnection", table: TableFile, wanted: Mapping[str, str]
) -> BadLines:
    """Create the table ``raw``: ``row`` (from 1, in file order) and the wanted columns as text.

    Args:
        con: Where to create it.
        table: The file.
        wanted: Name in ``raw`` -> column in the file; an empty column becomes NULL.

    Returns:
        Lines that were left out because they do not fit the columns.

    Raises:
        TableError: The file cannot be read to its end.
    """
    import duckdb

    try:
        if table.format == "text":
            return _load_text(con, table, wanted)
        source = _source(table, wanted)
        columns = {name: identifier(column) for name, column in wanted.items() if column}
        _create_raw(con, source, columns, wanted)
    except (duckdb.Error, *NO_TEXT) as error:
        if table.format == "jsonl":
            _find_bad_json(table)
        fault = str(error).splitlines()[0].replace(str(table.path), table.shown)[:160]
        raise TableError(
            f"{table.shown} cannot be read to its end ({fault}). Write the file again, or use TSV "
            "or CSV instead."
        ) from error
    return BadLines(0, 0, "")


def _source(table: TableFile, wanted: Mapping[str, str]) -> str:
    if table.format == "parquet":
        return f"read_parquet({literal(str(table.path))})"
    types = ", ".join(
        f"{identifier(column)}: 'VARCHAR'" for column in sorted({*wanted.values()} - {""})
    )
    return (
        f"read_json({literal(str(table.path))}, format='newline_delimited', columns={{{types}}}, "
        "maximum_depth=4)"
    )


def _create_raw(
    con: "duckdb.DuckDBPyConnection",
    source: str,
    columns: Mapping[str, str],
    wanted: Mapping[str, str],
    empty: str = "false",
) -> None:
    """Create ``raw`` without the rows for which the SQL ``empty`` is true; they count as rows."""
    chosen = ", ".join(
        f"CAST({columns.get(name, 'NULL')} AS VARCHAR) AS {identifier(name)}" for name in wanted
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE raw AS SELECT * EXCLUDE (empty_row) FROM (SELECT "
        f"row_number() OVER () AS row, {chosen}, {empty} AS empty_row FROM {source}) "
        "WHERE NOT empty_row"
    )


def _load_text(
    con: "duckdb.DuckDBPyConnection", table: TableFile, wanted: Mapping[str, str]
) -> BadLines:
    """Read a tab-separated table line by line; only if that fails, as quoted CSV.

    Line by line (``quote=''``) keeps every text with stray quotes whole; quoted cells are freed of
    their quotes afterwards, so both ways of writing a TSV give the same texts.
    """
    ways = ('"',) if table.delimiter != "\t" else ("", '"')
    full = len(table.columns)
    named = max(place for place, name in enumerate(table.columns, start=1) if name)
    bad = BadLines(0, 0, "")
    # Spreadsheets leave unnamed columns behind, and drop their separators in some of the rows.
    for width in dict.fromkeys((full, max(named, 2))):
        for quote in ways:
            bad = _read_csv(con, table, wanted, quote, width)
            if not bad.lines:
                return bad
    return _read_csv(con, table, wanted, ways[0], full) if len(ways) > 1 or named < full else bad


def _read_csv(
    con: "duckdb.DuckDBPyConnection",
    table: TableFile,
    wanted: Mapping[str, str],
    quote: str,
    width: int,
) -> BadLines:
    # The columns are named by place: names in files may be empty or differ by case only.
    types = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(width))
    source = (
        f"read_csv({literal(str(table.path))}, delim={literal(table.delimiter)}, "
        f"quote={literal(quote)}, escape={literal(quote)}, header=true, auto_detect=false, "
        f"columns={{{types}}}, max_line_size={MAX_LINE}, skip={table.skipped}, store_rejects=true)"
    )
    con.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    columns = {
        name: _cell(f"c{table.columns.index(column)}", quote)
        for name, column in wanted.items()
        if column
    }
    cells = ", ".join(f"c{place}" for place in range(width))
    empty = f"NOT regexp_matches(concat({cells}), {literal(f'[^{BLANKS}]')})"
    _create_raw(con, source, columns, wanted, empty)
    count, first, kind = con.sql(
        "SELECT count(DISTINCT line), min(line), arg_min(error_type, line) FROM reject_errors"
    ).fetchall()[0]
    if not count:
        return BadLines(0, 0, "", bool(quote))
    # DuckDB counts records, which is another number behind a line end inside a quoted cell.
    line = line_of_record(table.path, table.delimiter, first, quoted=bool(quote))
    fault = _FAULTS.get(str(kind), "it cannot be split into cells")
    return BadLines(count, line, fault, bool(quote))


_FAULTS: Final[dict[str, str]] = {
    "MISSING COLUMNS": "it has too few cells",
    "TOO MANY COLUMNS": "it has too many cells",
    "UNQUOTED VALUE": "a quote in it is not closed",
    "LINE SIZE OVER MAXIMUM": f"it is longer than {MAX_LINE // 2**20} MiB",
    "INVALID ENCODING": "it is not UTF-8 text",
}


def _cell(column: str, quote: str) -> str:
    """SQL twin of ``unquoted`` for tables that are read without quotes."""
    if quote:
        return column
    inner = f"{column}[2:-2]"
    return (
        f"CASE WHEN length({column}) >= 2 AND {column}[1] = '\"' AND {column}[-1] = '\"' AND "
        f"NOT contains(replace({inner}, '\"\"', ''), '\"') "
        f"THEN replace({inner}, '\"\"', '\"') ELSE {column} END"
    )


def json_object(line: str) -> dict[str, Any]:
    """Return the object that a line of JSON Lines holds.

    Raises:
        ValueError: It is none by the standard, or one that cannot be read unambiguously.
    """
    try:
        record = json.loads(line, object_pairs_hook=_unambiguous)
        line.encode()
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a two-part sign") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError("no object")  # noqa: TRY004 - as for every other line that does not fit
    return record


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"it names {twice[0]!r} twice")
    return dict(pairs)


def _find_bad_json(table: TableFile) -> None:
    """Raise for the first line that is no JSON object, if there is one."""
    for number, line in _json_lines(table.path):
        try:
            json_object(line)
        except ValueError as error:
            raise TableError(json_fault(table.shown, number, str(error))) from error


def _json_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if trimmed(line):
                yield number, line


def line_of(table: TableFile, row: int, *, quoted: bool) -> int:
    """Return the line of the file on which a row begins, from 1; 0 where there are no lines.

    Args:
        table: The file.
        row: As numbered in ``raw``.
        quoted: Whether quotes held cells together when the rows were read.
    """
    if table.format == "text":
        return line_of_row(table.path, table.delimiter, row, table.skipped, quoted=quoted)
    if table.format == "jsonl":
        for place, (number, _) in enumerate(_json_lines(table.path), start=1):
            if place == row:
                return number
    return 0
