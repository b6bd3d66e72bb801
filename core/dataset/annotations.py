"""From a table's rows to moral vectors, in SQL: the filter, the formula, one row per foundation.

Filter and formula are those of arXiv 2603.15615: with a judgement J in -2..2 and an agreement A in
0..4, virtue = max(0, J/2) A/4 and vice = max(0, -J/2) A/4, for every foundation of the annotation.
A person's own table may give the signed product as a score, or as a pole and a grade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from core.dataset.cells import MISSING_CELLS, POLE_WORDS, parse_foundations, parse_sign
from core.dataset.columns import (
    PEOPLE,
    ColumnMapping,
    Kind,
    people_columns,
    shape_of,
    wanted_columns,
)
from core.dataset.files import opened
from core.dataset.records import BLANKS, trimmed
from core.dataset.rows import (
    BadLines,
    TableError,
    TableFile,
    connection,
    identifier,
    line_of,
    literal,
    load_raw,
)
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.progress import Report, silent

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: Part of every stored key: raise it when the filter, the formula or the flattening changes.
FILTER_VERSION: Final = 1
#: Characters accepted in one action.
MAX_ACTION: Final = 4000

FLAGGED: Final = "rule of thumb flagged as bad"
SEVERAL: Final = "breakdown by several workers"
MISSING: Final = "a needed cell is empty"
NO_FOUNDATION: Final = "no known foundation"
BAD_VALUE: Final = "a value that is not allowed"
BAD_LINE: Final = "a line that does not fit the columns"


@dataclass(frozen=True)
class Annotations:
    """What a table holds, one row per annotation and foundation, in the table's order."""

    table: "pa.Table"
    """``annotation``, ``text``, ``foundation`` (int8), ``pole``, ``grade`` (float32), ``judgement``
    and ``agreement`` (float32, nullable), ``vector`` (10 x float32); ``person`` and ``situation``
    (empty where a row has none) if the table tells them."""

    kind: Kind
    """How the table was read."""

    name: str
    """The file's name, with the member's where it is a zip."""

    drawn: bool
    """True for a table of moral vectors whose rows were drawn for one foundation each."""

    rows: int
    """Rows in the table, bad ones included."""

    kept: int
    """Annotations that passed the filter."""

    repeated_ids: int
    """Rows whose id stood in an earlier row already."""

    dropped: dict[str, int]
    """Reason in words -> rows dropped for it; a row counts under its first reason."""


class _Check(NamedTuple):
    """A condition that makes a row bad."""

    field: str
    """The field it looks at."""

    broken: str
    """SQL condition, true for a bad row."""

    allowed: str
    """What is allowed, in words."""


def read_annotations(
    path: Path,
    workspace: Path | None = None,
    mapping: ColumnMapping | None = None,
    *,
    skip_bad_rows: bool = False,
    several: bool = False,
    id_prefix: str = "socialchem",
    report: Report = silent,
) -> Annotations:
    """Read a table of any accepted kind and format.

    Args:
        path: The file, or the zip around it.
        workspace: Folder for temporary copies; None: the system's.
        mapping: Which column holds what; None: guessed.
        skip_bad_rows: Leave out rows that hold what is not allowed, and count them.
        several: Keep the rows of an official table that are one of several people's, too.
        id_prefix: Of the ids given to the rows of an official table, numbered after the filter.
        report: Told what is being done.

    Raises:
        TableError: The table cannot be read, or a row holds what is not allowed.
    """
    report(0.0, 1.0, "Opening the table")
    with opened(path, workspace) as table, connection() as con:
        shape = shape_of(table)
        wanted = wanted_columns(shape, mapping) | people_columns(table)
        kind: Kind = "own" if mapping is not None else shape.kind
        report(0.1, 1.0, "Reading the rows")
        bad = load_raw(con, table, wanted)
        if bad.lines and not skip_bad_rows:
            raise TableError(_bad_lines(table, bad))
        report(0.6, 1.0, "Filtering")
        type_cells(con, table.delimiter, wanted, kind)
        dropped = {BAD_LINE: bad.lines} | _drop(con, kind, several=several)
        checks = value_checks(wanted, kind)
        if skip_bad_rows:
            dropped[BAD_VALUE] = _take_out(con, checks)
        else:
            _refuse_values(con, table, wanted, checks, quoted=bad.quoted)
        report(0.8, 1.0, "Building the moral vectors")
        flat = flatten(con, wanted, kind, id_prefix)
        return Annotations(
            flat,
            kind,
            table.shown,
            bool(wanted.get("drawn_for")),
            _count(con, "raw") + bad.lines,
            _kept(con, kind),
            _repeated(con, wanted),
            {reason: count for reason, count in dropped.items() if count},
        )


def _bad_lines(table: TableFile, bad: BadLines) -> str:
    lines = "1 line does" if bad.lines == 1 else f"{bad.lines:,} lines do"
    return (
        f"{lines} not fit the {len(table.columns)} columns of {table.shown}, the first is line "
        f"{bad.first:,}: {bad.fault}. Mend it, or read the table with bad rows skipped."
    )


def _count(con: "duckdb.DuckDBPyConnection", table: str) -> int:
    return int(con.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def type_cells(
    con: "duckdb.DuckDBPyConnection", delimiter: str, wanted: dict[str, str], kind: Kind
) -> None:
    """Create ``cells`` from ``raw``: missing cells NULL, words parsed, numbers cast."""
    absent = ", ".join(literal(cell) for cell in MISSING_CELLS)
    # In a person's own table a blank cell is an oversight; the paper's filter keeps it.
    visible = literal(f"[^{BLANKS}]")
    blank = "" if kind == "official" else f" OR NOT regexp_matches({{0}}, {visible})"
    cleaned = ", ".join(
        f"CASE WHEN {name} IN ({absent}){blank.format(name)} THEN NULL ELSE {name} END AS {name}"
        for name in map(identifier, wanted)
    )
    con.execute(f"CREATE TEMP TABLE cleaned AS SELECT row, {cleaned} FROM raw")
    _parse_cells(con, [name for name in ("foundations", "drawn_for") if name in wanted])
    numbers = [name for name in wanted if name in _NUMBERS]
    casts = "".join(
        f", TRY_CAST({_plain_number(f'cleaned.{name}', delimiter)} AS DOUBLE) AS {name}_n"
        for name in numbers
    )
    drawn = "drawn_for" if "drawn_for" in wanted else "NULL"
    if "pole" in wanted:
        _parse_poles(con)
        casts += ", (SELECT sign FROM signs WHERE signs.cell = cleaned.pole) AS pole_n"
    con.execute(
        f"CREATE TEMP TABLE cells AS SELECT cleaned.*{casts}, listed.axes, listed.unknown, "
        f"drawn.axes AS drawn_axes FROM cleaned "
        f"LEFT JOIN parsed listed ON listed.cell = cleaned.foundations "
        f"LEFT JOIN parsed drawn ON drawn.cell = {drawn}"
    )


def _plain_number(cell: str, delimiter: str) -> str:
    """SQL of a number as spreadsheets write it, without quotes, blanks and decimal comma.

    Between commas a decimal comma could as well part two cells or thousands, so it stays there.
    """
    edges = rf"""^[{BLANKS}="']+|[{BLANKS}"']+$"""
    bare = f"replace(regexp_replace({cell}, {literal(edges)}, '', 'g'), '\u2212', '-')"
    if delimiter in ("", ","):
        return bare
    return f"regexp_replace({bare}, '^([+-]?[0-9]*),([0-9]+)$', '\\1.\\2')"


_NUMBERS: Final = (
    *("judgement", "agreement", "score", "grade"),
    *("virtue", "vice", "flagged", "workers"),
)


def _parse_poles(con: "duckdb.DuckDBPyConnection") -> None:
    """Create ``signs``: every different pole cell once, with its sign; NULL where it is no pole."""
    import pyarrow as pa

    rows = con.sql("SELECT DISTINCT pole FROM cleaned WHERE pole NOT NULL").fetchall()
    cells = [str(row[0]) for row in rows]
    parsed_signs = pa.table(
        {"cell": pa.array(cells, pa.string()), "sign": pa.array(map(parse_sign, cells), pa.int8())}
    )
    con.register("parsed_signs", parsed_signs)
    con.execute("CREATE TEMP TABLE signs AS SELECT * FROM parsed_signs")
    con.unregister("parsed_signs")


def _parse_cells(con: "duckdb.DuckDBPyConnection", columns: Sequence[str]) -> None:
    """Create ``parsed``: every different foundation cell once, with what was understood of it."""
    import pyarrow as pa

    union = " UNION ".join(
        f"SELECT DISTINCT {name} FROM cleaned WHERE {name} NOT NULL" for name in columns
    )
    cells = [str(row[0]) for row in con.sql(union).fetchall()]
    parts = [parse_foundations(cell) for cell in cells]
    schema = pa.schema(
        [("cell", pa.string()), ("axes", pa.list_(pa.int8())), ("unknown", pa.string())]
    )
    known, unknown = [list(part[0]) for part in parts], [", ".join(part[1]) for part in parts]
    parsed_cells = pa.table([pa.array(cells, pa.string()), known, unknown], schema=schema)
    con.register("parsed_cells", parsed_cells)
    con.execute("CREATE TEMP TABLE parsed AS SELECT * FROM parsed_cells")
    con.unregister("parsed_cells")


def _drop(con: "duckdb.DuckDBPyConnection", kind: Kind, *, several: bool) -> dict[str, int]:
    """Apply the paper's filter to an official table; return how many rows it dropped, and why."""
    if kind != "official":
        return {}
    crowd = "" if several else f"WHEN workers_n IS DISTINCT FROM 1 THEN {literal(SEVERAL)}"
    con.execute(
        f"""
        ALTER TABLE cells ADD COLUMN reason VARCHAR;
        UPDATE cells SET reason = CASE
            WHEN flagged_n IS DISTINCT FROM 0 THEN {literal(FLAGGED)}
            {crowd}
            WHEN action IS NULL OR foundations IS NULL OR judgement IS NULL OR agreement IS NULL
            THEN {literal(MISSING)} END
        """
    )
    rows = con.sql(
        "SELECT reason, count(*) FROM cells WHERE reason NOT NULL GROUP BY ALL ORDER BY 1"
    )
    dropped = {str(reason): int(count) for reason, count in rows.fetchall()}
    con.execute("DELETE FROM cells WHERE reason NOT NULL")
    dropped[NO_FOUNDATION] = _count(con, "cells WHERE len(axes) = 0")
    return dropped


def _outside(name: str, low: int, high: int) -> str:
    return f"{name} NOT NULL AND ({name}_n IS NULL OR NOT {name}_n BETWEEN {low} AND {high})"


def value_checks(wanted: dict[str, str], kind: Kind) -> list[_Check]:
    """Return what the cells of a kind of table must not break, the first to be told first."""
    long = _Check(
        "action",
        f"length(action) > {MAX_ACTION} OR contains(action, chr(0))",
        f"a text of at most {MAX_ACTION:,} characters without control signs",
    )
    scale = [
        _Check("judgement", _outside("judgement", -2, 2), "a number from -2 to 2"),
        _Check("agreement", _outside("agreement", 0, 4), "a number from 0 to 4"),
        _Check("score", _outside("score", -1, 1), "a number from -1 to 1"),
        _Check("pole", "pole NOT NULL AND pole_n IS NULL", POLE_WORDS),
        _Check("grade", _outside("grade", 0, 1), "a number from 0 to 1"),
        _Check("virtue", _outside("virtue", 0, 1), "a number from 0 to 1"),
        _Check("vice", _outside("vice", 0, 1), "a number from 0 to 1"),
        _Check("vice", "virtue_n > 0 AND vice_n > 0", "0 where the virtue part is above 0"),
        _Check(
            "drawn_for",
            "drawn_axes IS NULL OR len(drawn_axes) <> 1 OR NOT list_has_all(axes, drawn_axes)",
            "one of the row's foundations",
        ),
    ]
    if kind == "official":
        return [long, *(check for check in scale if check.field in ("judgement", "agreement"))]
    needed = [name for name in wanted if name not in ("agreement", "drawn_for", *PEOPLE)]
    if kind == "own":
        needed = [name for name in needed if name != "identifier"]
    return [
        *(_Check(name, f"{name} IS NULL", "a cell that is not empty") for name in needed),
        long,
        _Check("foundations", "unknown <> '' OR len(axes) = 0", ", ".join(FOUNDATIONS)),
        *(check for check in scale if wanted.get(check.field)),
    ]


def _take_out(con: "duckdb.DuckDBPyConnection", checks: Sequence[_Check]) -> int:
    """Take out the rows that hold what is not allowed; return how many."""
    before = _count(con, "cells")
    broken = " OR ".join(f"coalesce({check.broken}, false)" for check in checks)
    con.execute(f"DELETE FROM cells WHERE {broken}")
    return before - _count(con, "cells")


def _refuse_values(
    con: "duckdb.DuckDBPyConnection",
    table: TableFile,
    wanted: dict[str, str],
    checks: Sequence[_Check],
    *,
    quoted: bool,
) -> None:
    """Refuse a table of which a row holds what is not allowed, with the first such row."""
    for check in checks:
        count, row = con.sql(
            f"SELECT count(*), min(row) FROM cells WHERE {check.broken}"
        ).fetchall()[0]
        if not count:
            continue
        # From ``raw``: a word that counts as missing is shown as it was typed.
        value = con.sql(
            f"SELECT coalesce(left({check.field}, 60), '') FROM raw WHERE row = {row}"
        ).fetchall()[0][0]
        held = "1 value that is" if count == 1 else f"{count:,} values that are"
        line = line_of(table, row, quoted=quoted)
        notes = [f"line {line:,}"] if line else []
        if trimmed(value) and trimmed(value) in MISSING_CELLS:
            notes.append("a word that counts as missing")
        raise TableError(
            f"Column {wanted[check.field]!r} of {table.shown} holds {held} not allowed, the "
            f"first in row {row:,}: {value!r}"
            + (f" ({', '.join(notes)})" if notes else "")
            + f". Allowed is {check.allowed}. Mend it, or read the table with bad rows skipped."
        )


def _parts(wanted: dict[str, str], kind: Kind) -> tuple[str, str]:
    """Return the SQL of the virtue and the vice part of a row, each in [0, 1]."""
    if kind == "vectors":
        return "virtue_n", "vice_n"
    signed = "score_n"
    if "judgement" in wanted:
        agreement = "coalesce(agreement_n, 4)" if "agreement" in wanted else "4"
        signed = f"(judgement_n / 2) * ({agreement} / 4)"
    elif "pole" in wanted:
        signed = f"pole_n * {'grade_n' if 'grade' in wanted else '1'}"
    return f"greatest(0, {signed})", f"greatest(0, -({signed}))"


def flatten(
    con: "duckdb.DuckDBPyConnection", wanted: dict[str, str], kind: Kind, id_prefix: str
) -> "pa.Table":
    """Return one row per annotation and foundation, with the ten-dimensional vector."""
    virtue, vice = _parts(wanted, kind)
    number = "printf('row_%06d', row)"
    label = f"coalesce(identifier, {number})" if "identifier" in wanted else number
    if kind == "official":
        label = f"printf({literal(id_prefix + '_%06d')}, row_number() OVER (ORDER BY row) - 1)"
    vector = ", ".join(
        f"CASE WHEN list_contains(axes, {place // 2}) THEN {'vice' if place % 2 else 'virtue'} "
        "ELSE 0 END"
        for place in range(len(DIMENSIONS))
    )
    people = [name for name in PEOPLE if name in wanted]
    told = "".join(f", coalesce({name}, '') AS {name}" for name in people)
    kept = "".join(f", {name}" for name in people)
    drawn = "drawn_axes" if wanted.get("drawn_for") else "axes"
    return con.sql(
        f"""
        WITH annotated AS (
            SELECT row, {label} AS annotation, action AS text, axes, {drawn} AS counted,
                CAST({virtue} AS FLOAT) AS virtue, CAST({vice} AS FLOAT) AS vice,
                {_scale("judgement", wanted)}, {_scale("agreement", wanted)}{told}
            FROM cells)
        SELECT annotation, text, CAST(unnest(counted) AS TINYINT) AS foundation,
            CASE WHEN virtue > 0 THEN 'virtue' WHEN vice > 0 THEN 'vice' ELSE 'neutral' END AS pole,
            greatest(virtue, vice) AS grade, judgement, agreement,
            CAST([{vector}] AS FLOAT[{len(DIMENSIONS)}]) AS vector{kept}
        FROM annotated
        """
    ).to_arrow_table()


def _scale(name: str, wanted: dict[str, str]) -> str:
    if name == "agreement" and "judgement" in wanted:
        given = "agreement_n" if "agreement" in wanted else "NULL"
        return f"CAST(coalesce({given}, 4) AS FLOAT) AS agreement"
    return f"CAST({f'{name}_n' if name in wanted else 'NULL'} AS FLOAT) AS {name}"


def _kept(con: "duckdb.DuckDBPyConnection", kind: Kind) -> int:
    if kind == "vectors":
        return int(con.sql("SELECT count(DISTINCT identifier) FROM cells").fetchall()[0][0])
    return _count(con, "cells")


def _repeated(con: "duckdb.DuckDBPyConnection", wanted: dict[str, str]) -> int:
    if "identifier" not in wanted:
        return 0
    counts = con.sql("SELECT count(identifier) - count(DISTINCT identifier) FROM cells")
    return int(counts.fetchall()[0][0])
