"""The rows of a recognised table, read by DuckDB: every cell as text, what it means comes later."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from core import CoreError

if TYPE_CHECKING:
    import duckdb

Format = Literal["text", "jsonl", "parquet"]

#: Bytes of one line; longer ones are bad lines, so that one cell cannot fill the memory.
MAX_LINE: Final = 4 * 2**20


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
    """Between cells of a ``text`` table: tab, comma or semicolon; empty otherwise."""

    columns: tuple[str, ...]
    """Column names in the file's order."""

    preview: tuple[dict[str, str], ...]
    """The first rows, column -> cell as text."""


class BadLines(NamedTuple):
    """Lines that do not fit the table's columns."""

    lines: int
    """How many."""

    first: int
    """Line number of the first one, the header is line 1; 0 where there is none."""

    fault: str
    """What is wrong with the first one, in words; empty where there is none."""


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
    except duckdb.Error as error:
        if table.format == "jsonl":
            _find_bad_json(table)
        raise TableError(
            f"{table.shown} cannot be read to its end ({str(error).splitlines()[0][:160]}). "
            "Write the file again, or use TSV or CSV instead."
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
) -> None:
    chosen = ", ".join(
        f"CAST({columns.get(name, 'NULL')} AS VARCHAR) AS {identifier(name)}" for name in wanted
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE raw AS SELECT row_number() OVER () AS row, {chosen} "
        f"FROM {source}"
    )


def _load_text(
    con: "duckdb.DuckDBPyConnection", table: TableFile, wanted: Mapping[str, str]
) -> BadLines:
    """Read a tab-separated table line by line; only if that fails, as quoted CSV.

    Line by line (``quote=''``) keeps every text with stray quotes whole; quoted cells are freed of
    their quotes afterwards, so both ways of writing a TSV give the same texts.
    """
    if table.delimiter != "\t":
        return _read_csv(con, table, wanted, quote='"')
    bad = _read_csv(con, table, wanted, quote="")
    if bad.lines:
        quoted = _read_csv(con, table, wanted, quote='"')
        bad = _read_csv(con, table, wanted, quote="") if quoted.lines else quoted
    return bad


def _read_csv(
    con: "duckdb.DuckDBPyConnection", table: TableFile, wanted: Mapping[str, str], quote: str
) -> BadLines:
    # The columns are named by place: names in files may be empty or differ by case only.
    types = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(table.columns)))
    source = (
        f"read_csv({literal(str(table.path))}, delim={literal(table.delimiter)}, "
        f"quote={literal(quote)}, escape={literal(quote)}, header=true, auto_detect=false, "
        f"columns={{{types}}}, max_line_size={MAX_LINE}, store_rejects=true)"
    )
    con.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    columns = {
        name: _cell(f"c{table.columns.index(column)}", quote)
        for name, column in wanted.items()
        if column
    }
    _create_raw(con, source, columns, wanted)
    count, first, kind = con.sql(
        "SELECT count(DISTINCT line), min(line), arg_min(error_type, line) FROM reject_errors"
    ).fetchall()[0]
    return BadLines(count, first or 0, _FAULTS.get(str(kind), "it cannot be split into cells"))


_FAULTS: Final[dict[str, str]] = {
    "None": "",
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


def _find_bad_json(table: TableFile) -> None:
    """Raise for the first line that is no JSON object, if there is one."""
    with table.path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise TableError(json_fault(table.shown, number, str(error))) from error
            if not isinstance(record, dict):
                raise TableError(json_fault(table.shown, number, "no object"))
